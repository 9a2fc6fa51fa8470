package mariadb

// The computations, for comparison with a server's own.
var (
	NativeHash = nativeHash
	Ed25519Key = ed25519Key
	TooOld     = tooOld
)

// TellsRefusal reports whether a wrong password is heard of by an account with
// methods of these plugins.
func TellsRefusal(plugins ...string) bool {
	var list methods
	for _, plugin := range plugins {
		list = append(list, method{plugin: plugin})
	}
	return list.tellsRefusal()
}

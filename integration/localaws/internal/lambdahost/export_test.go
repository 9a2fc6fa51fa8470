package lambdahost

import "time"

// SetInitLimit shortens the ten seconds, before the first invocation.
func (f *Function) SetInitLimit(d time.Duration) { f.initLimit = d }

package redshiftgate

// View is a system view as its page tells.
type View struct {
	Name       string
	Columns    []string
	Superusers bool
}

// Views are the system views.
func Views() []View {
	var out []View
	for _, v := range views {
		out = append(out, View{v.name, v.columns, v.superusers})
	}
	return out
}

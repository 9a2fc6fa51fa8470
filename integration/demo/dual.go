package main

import "context"

// dualPassword shows an account that keeps the password before beside the new
// one, while an application signs in all the time with what it last read. Where
// no account can keep it for itself, an admin does.
func (d *demo) dualPassword(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	document := d.document()
	document["dbrotation"] = map[string]any{"strategy": "dual-password"}
	if len(d.engine.retaining) == 0 {
		admin, err := d.createAdminSecret(ctx)
		if err != nil {
			return err
		}
		document["masterarn"] = admin
	}
	for _, statement := range d.engine.retaining {
		if err := d.server.Exec(ctx, statement); err != nil {
			return err
		}
		d.row("what it takes", statement)
	}
	if err := d.createSecret(ctx, document); err != nil {
		return err
	}
	return d.whileAnApplicationSignsIn(ctx, "Rotation", nil)
}

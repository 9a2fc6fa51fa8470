package main

import (
	"context"
	"fmt"
)

// alternating shows two accounts that take turns, while an application signs
// in all the time with what it last read.
func (d *demo) alternating(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	for _, statement := range d.engine.sharing {
		if err := d.server.Exec(ctx, statement); err != nil {
			return err
		}
	}
	admin, err := d.createAdminSecret(ctx)
	if err != nil {
		return err
	}
	document := d.document()
	document["masterarn"] = admin
	if err := d.createSecret(ctx, document); err != nil {
		return err
	}
	after := d.shareTables
	if d.engine.makes == nil {
		after = d.shareOrders
	}
	return d.whileAnApplicationSignsIn(ctx, "Turn", after)
}

// createAdminSecret stores the login of the server's admin, who is no superuser.
func (d *demo) createAdminSecret(ctx context.Context) (arn string, err error) {
	arn, err = d.store(ctx, "demo/admin", map[string]any{
		"engine": d.server.Engine, "host": d.server.Host, "port": d.server.Port, "dbname": d.server.Admin.Database,
		"username": d.server.Admin.Username, "password": d.server.Admin.Password.Reveal(),
	})
	if err == nil {
		d.row("admin's secret", arn)
	}
	return arn, err
}

// shareTables makes a table as whoever's turn it is, and uses those that the
// other made before.
func (d *demo) shareTables(ctx context.Context, turn int, username, password string) error {
	conn, err := d.engine.connect(ctx, d.server.Login(username, password))
	if err != nil {
		return fmt.Errorf("signing in as %s: %w", username, err)
	}
	defer conn.leave(ctx)
	table := func(turn int) string { return fmt.Sprintf("%sturn_%d", d.engine.shared, turn+1) }
	for earlier := range turn {
		if err := conn.exec(ctx, d.engine.writes(table(earlier), turn)); err != nil {
			return fmt.Errorf("writing into the table of turn %d as %s: %w", earlier+1, username, err)
		}
	}
	if err := conn.exec(ctx, d.engine.makes(table(turn))); err != nil {
		return fmt.Errorf("creating a table as %s: %w", username, err)
	}
	if turn == 0 {
		d.proof(username + " creates a table")
		return nil
	}
	d.proof(fmt.Sprintf("%s creates a table, and writes into those made before: %d", username, turn))
	return nil
}

// shareOrders reads, as whoever's turn it is, what the canonical account may read.
func (d *demo) shareOrders(ctx context.Context, _ int, current, password string) error {
	rows, err := d.countOrders(ctx, current, password)
	if err != nil {
		return fmt.Errorf("reading the table as %s: %w", current, err)
	}
	d.proof(fmt.Sprintf("%s reads what %s was granted: %d rows", current, username, rows))
	return nil
}

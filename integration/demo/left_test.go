package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// serversOf are the containers and the processes of servers that a process has
// started: the label and the folder that package dbservers gives them hold its
// number.
func serversOf(t *testing.T, pid int) []string {
	t.Helper()
	return append(containersOf(t, pid), processesOf(t, pid)...)
}

// containersOf is empty where no Docker engine answers: then there are none.
func containersOf(t *testing.T, pid int) []string {
	t.Helper()
	cli, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cli.Close() }()
	if _, err := cli.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil
	}
	found, err := cli.ContainerList(t.Context(), client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", "dbrotation.dbservers.pid="+strconv.Itoa(pid)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var containers []string
	for _, c := range found.Items {
		containers = append(containers, fmt.Sprintf("container %s of %s", c.ID, c.Image))
	}
	return containers
}

// processesOf finds none where there is no /proc.
func processesOf(t *testing.T, pid int) []string {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var processes []string
	for _, path := range commands {
		command, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(command), fmt.Sprintf("dbrotation-server-%d-", pid)) {
			processes = append(processes, "process "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return processes
}

// A search that finds nothing proves nothing where it would not find a server
// that is there.
func TestAServerThatIsLeftIsNoticed(t *testing.T) {
	t.Parallel()
	server, err := dbservers.StartMariaDB(context.Background(), dbservers.MariaDBOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if got := serversOf(t, os.Getpid()); len(got) != 1 {
		t.Errorf("found %q, want the one server", got)
	}
}

package dbservers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// layOut makes the folders and files that installation scripts would make.
func layOut(root string) error {
	for _, folder := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "dev", "proc", "etc", "srv"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(root, link)); err != nil {
			return err
		}
	}
	tmp := filepath.Join(root, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
		return err
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nserver:x:%d:%d:server:/srv:/bin/sh\n", serverUser, serverUser)
	group := fmt.Sprintf("root:x:0:\nserver:x:%d:\n", serverUser)
	for name, content := range map[string]string{"etc/passwd": passwd, "etc/group": group} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// unpackers is how many packages are unpacked at once; they are compressed by
// xz and zstd, which take one processor each.
const unpackers = 2

// unpackAll unpacks packages into root, all but the files that match unread.
func unpackAll(ctx context.Context, packages, unread []string, root string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan string)
	var workers sync.WaitGroup
	for range unpackers {
		workers.Go(func() {
			for p := range queue {
				if err := unpack(ctx, p, unread, root); err != nil {
					cancel(fmt.Errorf("unpacking %s: %w", filepath.Base(p), err))
				}
			}
		})
	}
	for _, p := range packages {
		queue <- p
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

func unpack(ctx context.Context, deb string, unread []string, root string) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(run(ctx, nil, writer, "dpkg", "--fsys-tarfile", deb)) }()
	args := []string{"-x", "--keep-directory-symlink", "--no-same-owner", "-C", root}
	for _, pattern := range unread {
		args = append(args, "--exclude="+pattern)
	}
	tar := exec.CommandContext(ctx, "tar", args...)
	tar.Stdin = reader
	var told bytes.Buffer
	tar.Stderr = &told
	err := tar.Run()
	// dpkg ends, even where tar did not read all.
	_ = reader.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(told.String()))
	}
	return nil
}

// run runs a command to its end. Its error carries what the command wrote to
// stderr.
func run(ctx context.Context, env []string, stdout io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout = stdout
	var told bytes.Buffer
	cmd.Stderr = &told
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(told.String()))
	}
	return nil
}

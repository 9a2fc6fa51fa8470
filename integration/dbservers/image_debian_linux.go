package dbservers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
)

// packingLabel carries packing on an image.
const packingLabel = "dbrotation.dbservers.packing"

// debianImage returns the name of the image made of Debian packages, and makes
// it where the engine has none.
func (e *engine) debianImage(ctx context.Context, rel release) (string, error) {
	name := "dbrotation/" + rel.engine + ":" + rel.major + "-debian"
	if e.packed(ctx, name) {
		return name, nil
	}
	unlock, err := lockCache(ctx, rel)
	if err != nil {
		return "", fmt.Errorf("making the image %s: %w", name, err)
	}
	defer unlock()
	// Another process may have made it meanwhile.
	if e.packed(ctx, name) {
		return name, nil
	}
	if err := e.importDebian(ctx, rel, name); err != nil {
		return "", fmt.Errorf("making the image %s: %w", name, err)
	}
	return name, nil
}

func (e *engine) packed(ctx context.Context, name string) bool {
	image, err := e.client.ImageInspect(ctx, name)
	return err == nil && image.Config != nil && image.Config.Labels[packingLabel] == packing
}

func (e *engine) importDebian(ctx context.Context, rel release, name string) error {
	work, err := ownFolder(os.TempDir())
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	root := filepath.Join(work, "root")
	if err := unpackDebian(ctx, rel, work, root); err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() {
		// Without an error from tar, the engine would take half a tree for a
		// whole one.
		writer.CloseWithError(run(ctx, nil, writer, "tar", "-C", root, "--numeric-owner", "--owner=0", "--group=0", "-c", "."))
	}()
	defer func() { _ = reader.Close() }()
	repository, tag, _ := strings.Cut(name, ":")
	answer, err := e.client.ImageImport(ctx, client.ImageImportSource{Source: reader, SourceName: "-"}, repository, client.ImageImportOptions{
		Tag:     tag,
		Message: "Debian " + rel.suite + ": " + strings.Join(rel.packages, " "),
		Changes: []string{
			"ENV PATH=" + rel.binaries + ":/usr/bin:/bin LANG=C.UTF-8",
			"LABEL " + packingLabel + "=" + packing,
		},
	})
	if err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	defer func() { _ = answer.Close() }()
	return importOutcome(answer)
}

// importOutcome reads the engine's messages; an error may be one of them.
func importOutcome(answer io.Reader) error {
	messages := json.NewDecoder(answer)
	for {
		var message struct {
			Error string `json:"error"`
		}
		switch err := messages.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("importing: %w", err)
		case message.Error != "":
			return fmt.Errorf("importing: %s", message.Error)
		}
	}
}

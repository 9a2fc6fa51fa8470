package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// report prints what is found out, and no password of the secret: a library's
// error might quote one.
type report struct {
	out io.Writer

	mu     sync.Mutex
	hidden []string
}

// hide keeps a password out of all that is printed from now on.
func (r *report) hide(password dbdrivers.Password) {
	text := password.Reveal()
	if len(text) < 4 {
		return // it would blot out words
	}
	quoted, _ := json.Marshal(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hidden = append(r.hidden, text, string(quoted[1:len(quoted)-1]), strings.ReplaceAll(text, "'", "''"))
	slices.SortFunc(r.hidden, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

func (r *report) scrubbed(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, hidden := range r.hidden {
		text = strings.ReplaceAll(text, hidden, "[redacted]")
	}
	return text
}

func (r *report) section(title string) { r.line("\n" + title) }

// row prints a name and what belongs to it.
func (r *report) row(name, text string) { r.line(fmt.Sprintf("  %-18s %s", name, text)) }

// proof prints something that was asked and found true.
func (r *report) proof(text string) { r.line("  ok   " + text) }

// fault prints something that was asked and found untrue.
func (r *report) fault(text string) { r.line("  NO   " + text) }

func (r *report) line(text string) { fmt.Fprintln(r.out, r.scrubbed(text)) }

// ask prints a question, whose answer follows on its line.
func (r *report) ask(text string) { fmt.Fprint(r.out, "\n"+r.scrubbed(text)) }

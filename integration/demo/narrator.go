package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// narrator prints what happens: with colour and a moving sign on a terminal,
// in plain lines elsewhere.
type narrator struct {
	out      io.Writer
	live     bool // a line can be written over
	coloured bool
	columns  func() int // of the terminal

	mu      sync.Mutex
	waiting func() // ends the moving sign
}

// newNarrator prints to out. NO_COLOR turns colour off: https://no-color.org.
func newNarrator(out *os.File) *narrator {
	live := os.Getenv("TERM") != "dumb" && term.IsTerminal(int(out.Fd()))
	return &narrator{
		out: out, live: live, coloured: live && os.Getenv("NO_COLOR") == "",
		columns: func() int {
			columns, _, err := term.GetSize(int(out.Fd()))
			if err != nil || columns <= 0 {
				return 80
			}
			return columns
		},
	}
}

const (
	bold  = "1"
	dim   = "2"
	green = "32"
	cyan  = "36"
)

func (n *narrator) paint(colour, text string) string {
	if !n.coloured {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (n *narrator) title(text string) {
	n.quiet()
	fmt.Fprintf(n.out, "%s\n", n.paint(bold, text))
}

func (n *narrator) section(text string) {
	n.quiet()
	fmt.Fprintf(n.out, "\n%s\n", n.paint(bold, text))
}

// row prints a name and what belongs to it.
func (n *narrator) row(name, text string) {
	n.quiet()
	fmt.Fprintf(n.out, "  %s %s\n", n.paint(cyan, fmt.Sprintf("%-22s", name)), text)
}

// proof prints something that was asked and found true.
func (n *narrator) proof(text string) {
	n.quiet()
	mark := "ok  "
	if n.live {
		mark = n.paint(green, "✓") + " "
	}
	fmt.Fprintf(n.out, "  %s%s\n", mark, text)
}

func (n *narrator) last(text string) {
	fmt.Fprintf(n.out, "\n%s\n", n.paint(bold+";"+green, text))
}

// wait says what is waited for until the next line. Elsewhere than on a
// terminal only what takes long says it.
func (n *narrator) wait(text string) {
	n.quiet()
	stop, stopped := make(chan struct{}), make(chan struct{})
	n.mu.Lock()
	n.waiting = func() { close(stop); <-stopped }
	n.mu.Unlock()
	go func() {
		defer close(stopped)
		began := time.Now()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		told := false
		for i := 0; ; i++ {
			select {
			case <-stop:
				if n.live {
					fmt.Fprint(n.out, "\r\x1b[K")
				}
				return
			case <-tick.C:
			}
			elapsed := time.Since(began)
			switch {
			case n.live:
				fmt.Fprint(n.out, "\r\x1b[K"+n.progress(i, text, elapsed))
			case elapsed > 3*time.Second && !told:
				told = true
				fmt.Fprintf(n.out, "  ... %s\n", text)
			}
		}
	}()
}

// quiet ends a wait.
func (n *narrator) quiet() {
	n.mu.Lock()
	end := n.waiting
	n.waiting = nil
	n.mu.Unlock()
	if end != nil {
		end()
	}
}

// progress is the moving sign's line. It is cut to fit into the terminal: a
// line that breaks cannot be written over.
func (n *narrator) progress(tick int, text string, elapsed time.Duration) string {
	signs := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	since := elapsed.Round(time.Second).String()
	// The sign and the spaces take five columns, and the last stays free.
	room := n.columns() - len(since) - 6
	if words := []rune(text); len(words) > room {
		text = string(words[:max(room-1, 0)]) + "…"
	}
	return fmt.Sprintf("  %c %s %s", signs[tick%len(signs)], text, n.paint(dim, since))
}

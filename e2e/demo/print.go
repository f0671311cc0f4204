package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// printer writes the demo's pages, 80 columns wide.
type printer struct {
	out    io.Writer
	colors bool
}

const (
	bold  = "1"
	faint = "2"
	green = "32"
	cyan  = "36"
)

func (p *printer) paint(color, text string) string {
	if !p.colors {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (p *printer) linef(format string, values ...any) {
	_, _ = fmt.Fprintf(p.out, format+"\n", values...)
}

func (p *printer) title() {
	p.linef("%s", p.paint(bold, "LaunchDarkly flags in DynamoDB"))
	p.note("This takes about 15 seconds. LaunchDarkly and DynamoDB are local programs that end with the demo.")
}

// note prints an explanation.
func (p *printer) note(text string) {
	for _, line := range wrap(text, 76) {
		p.linef("   %s", p.paint(faint, line))
	}
}

func (p *printer) heading(number int, text string) {
	p.linef("\n%s", p.paint(cyan, fmt.Sprintf("%d  %s", number, text)))
}

func (p *printer) fact(name, format string, values ...any) {
	p.linef("   %s %s", p.paint(faint, pad(name, 13)), fmt.Sprintf(format, values...))
}

func (p *printer) written(url string, table *localtable.Table, rows int, took time.Duration) {
	p.heading(1, "A connected process gets its flags from LaunchDarkly and fills a table")
	p.fact("LaunchDarkly", "%s, a local service for tests", url)
	p.fact("DynamoDB", "%s, table %s", table.Endpoint, table.Name)
	p.fact("rows", "%d, written before the client was ready, in %s", rows, milliseconds(took))
}

func (p *printer) evaluated(pid int, results []evaluation.Result, took time.Duration) {
	p.heading(2, fmt.Sprintf("Another process (%d), in daemon mode, reads only the table", pid))
	const flagWidth, valueWidth = 20, 14
	users := usersOf(results)
	header := pad("", flagWidth)
	for _, user := range users {
		header += pad(user, valueWidth)
	}
	p.linef("   %s", p.paint(faint, strings.TrimRight(header, " ")))
	for row := range len(results) / len(users) {
		cells := results[row*len(users):][:len(users)]
		line := pad(cells[0].Flag, flagWidth)
		for _, cell := range cells {
			line += pad(shorten(valueOf(cell), valueWidth-1), valueWidth)
		}
		p.linef("   %s", strings.TrimRight(line, " "))
	}
	p.note(fmt.Sprintf("%d evaluations in %s, the start of the process included: %s.",
		len(results), milliseconds(took), tallyReasons(results)))
	p.note("(default): the flag is off and has no value for that, so the program's default value is returned. " +
		"(no flag): the flag was deleted, and a tombstone in the table says so.")
	p.note(fmt.Sprintf("LaunchDarkly would not accept %q as a key. It is here because the table does.", oddKey))
}

func (p *printer) changed(version int, before, after evaluation.Result, inTable, seen time.Duration) {
	p.heading(3, changedFlag+" changes on the server")
	p.fact("0 ms", "the server sends version %d", version)
	p.fact(milliseconds(inTable), "it is in the table")
	p.fact(milliseconds(seen), "the other process has it (its cache TTL is %g s):", readerTTL.Seconds())
	p.fact("", "for %s, %s is now %s", after.User, valueOf(before), p.paint(green, valueOf(after)))
}

func (p *printer) rows(rows []localtable.Row) {
	p.heading(4, "The rows in the table")
	p.linef("   %s", p.paint(faint, "namespace   key                   version   bytes"))
	for _, row := range rows {
		if row.Item == "" {
			p.linef("   %s %s the data set is complete", pad(row.Namespace, 11), pad(row.Key, 21))
			continue
		}
		p.linef("   %s %s %7d %7d", pad(row.Namespace, 11), pad(row.Key, 21), row.Version, len(row.Item))
	}
}

func (p *printer) outage(o *Outage) {
	p.heading(5, "The network to DynamoDB is cut, and both processes go on")
	p.loads("cut off", o.Before, o.During)
	p.linef("")
	p.fact("meanwhile", "%s is switched on at LaunchDarkly", switchedFlag)
	p.fact(milliseconds(o.Seen), "later the connected process has it: for %s it is %s", switchedUser, p.switched(o.Evaluations[0]))
	p.fact("", "the other process has the last known value: for %s it is %s", switchedUser, p.switched(o.Evaluations[1]))
}

// loads compares the evaluations of both processes before and during something.
func (p *printer) loads(during string, before, then [2]Load) {
	p.linef("   %s", p.paint(faint, fmt.Sprintf("%s%13s%11s%17s", pad("", 36), "evaluations/s", "slowest", "default values")))
	for i, name := range processes {
		p.load(name+", before", before[i])
		p.load(name+", "+during, then[i])
	}
}

var processes = [2]string{"the connected process", "the other process"}

func (p *printer) load(name string, l Load) {
	p.linef("   %s%13.0f%11s%17d", pad(name, 36), l.PerSecond(), milliseconds(l.Slowest), l.Defaults)
}

func (p *printer) repaired(took time.Duration) {
	p.fact("the network", "is repaired")
	p.fact(milliseconds(took), "later the other process has the change, from the table")
}

func (p *printer) brownout(before, during [2]Load) {
	p.heading(6, fmt.Sprintf("DynamoDB answers %g seconds late, and evaluations go on", lateness.Seconds()))
	p.loads("slow DynamoDB", before, during)
	p.note("The first read of a flag whose TTL is over is given 250 ms. From then on the last known values are served at once, " +
		"and the new ones are read in the background.")
}

func (p *printer) summary(r *Report) {
	p.linef("\n%s", p.paint(bold, "Summary"))
	p.fact("a change", "reached the other process through the table in %s", milliseconds(r.ChangeSeen))
	p.fact("an outage", "%s", describe(r.Outage.During))
	p.fact("", "the change during it was kept, and delivered %s after the repair", milliseconds(r.Outage.Delivered))
	p.fact("a brownout", "%s", describe(r.Brownout))
	p.note("docs/how-it-works.md explains this. The README has the quick start.")
}

// describe sums up the evaluations of both processes.
func describe(loads [2]Load) string {
	defaults := "none with a default value"
	if n := loads[0].Defaults + loads[1].Defaults; n > 0 {
		defaults = fmt.Sprintf("%d with a default value", n)
	}
	return fmt.Sprintf("%d evaluations, %s, the slowest took %s",
		loads[0].Evaluations+loads[1].Evaluations, defaults, milliseconds(max(loads[0].Slowest, loads[1].Slowest)))
}

func (p *printer) switched(results []evaluation.Result) string {
	return p.paint(green, valueOf(find(results, switchedFlag, switchedUser)))
}

func (p *printer) logs(logs [2][]string) {
	for i, name := range processes {
		p.linef("\n   %s", p.paint(faint, "What the store logged in "+name+":"))
		for _, line := range logs[i] {
			for j, part := range wrap(readable(line), 72) {
				p.linef("   %s%s", strings.Repeat(" ", 2*min(j, 1)), part)
			}
		}
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

package demo

import (
	"fmt"
	"time"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
)

// What the demo changes: users whom no rule matches get another message.
const (
	changedFlag     = "welcome-message"
	changedUser     = "eve"
	messageVariants = 3 // the variation that nobody has got before
)

// change edits a flag on the server and follows it to the table and to the
// reading process.
func (d *demo) change(reader *reader) error {
	before := find(d.report.Evaluations, changedFlag, changedUser)
	start := time.Now()
	version, err := d.server.Update("/flags/"+changedFlag, func(flag map[string]any) {
		flag["fallthrough"] = map[string]any{"variation": messageVariants}
	})
	if err != nil {
		return err
	}
	err = waitUntil("the change is in the table", func() (bool, error) {
		row, err := d.table.Row("features", changedFlag)
		return row != nil && row.Version == version, err
	})
	if err != nil {
		return err
	}
	inTable := time.Since(start)

	err = waitUntil("the reading process sees the change", func() (bool, error) {
		results, err := reader.evaluate()
		d.report.Changed = find(results, changedFlag, changedUser)
		return !d.report.Changed.Value.Equal(before.Value), err
	})
	if err != nil {
		return err
	}
	d.report.ChangeSeen = time.Since(start)
	d.show.changed(version, before, d.report.Changed, inTable, d.report.ChangeSeen)
	return nil
}

func find(results []evaluation.Result, flag, user string) evaluation.Result {
	for _, r := range results {
		if r.Flag == flag && r.User == user {
			return r
		}
	}
	return evaluation.Result{}
}

func waitUntil(what string, done func() (bool, error)) error {
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		ok, err := done()
		if err != nil || ok {
			return err
		}
	}
	return fmt.Errorf("gave up after %s, waiting until %s", patience, what)
}

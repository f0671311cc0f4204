package demo

import (
	"strings"
	"time"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
)

const (
	// calmTime and cutTime are how long both processes evaluate before the network
	// is cut and while it is. Within cutTime both of them need DynamoDB.
	calmTime = 500 * time.Millisecond
	cutTime  = 2500 * time.Millisecond
	// switchedFlag is off until it is switched on in the middle of the outage.
	switchedFlag = "site-offline"
	switchedUser = "alice"
)

// Outage is what came out of the part without a network.
type Outage struct {
	Before, During [2]Load                // in the connected process and in the other one
	Evaluations    [2][]evaluation.Result // during the outage, after a change
	Afterwards     [2][]evaluation.Result // when the other process has the change
	Seen           time.Duration          // until the connected process had the change
	Delivered      time.Duration          // from the repair until the other process had it
	Logs           [2][]string            // what the stores logged
}

// goThroughOutage cuts the network to DynamoDB, changes a flag and repairs the
// network.
func (d *demo) goThroughOutage(writer *participant, reader *reader) (err error) {
	o := &d.report.Outage
	loggedBefore, err := d.logs(reader)
	if err != nil {
		return err
	}
	if o.Before, err = d.load(writer, reader, calmTime, func() error { return nil }); err != nil {
		return err
	}
	d.proxy.Refuse()
	o.During, err = d.load(writer, reader, cutTime, func() (err error) {
		o.Seen, err = d.switchFlag(writer)
		return err
	})
	if err != nil {
		return err
	}
	o.Evaluations[0] = writer.evaluateAll()
	if o.Evaluations[1], err = reader.evaluate(); err != nil {
		return err
	}
	d.show.outage(o)

	// An outage that ends before the stores are sure of it is not logged.
	if _, err := d.logsSince(loggedBefore, reader, 1); err != nil {
		return err
	}
	if err := d.repairNetwork(writer, reader); err != nil {
		return err
	}
	if o.Logs, err = d.logsSince(loggedBefore, reader, 2); err != nil {
		return err
	}
	d.show.logs(o.Logs)
	return d.waitForSDK()
}

// waitForSDK waits until the SDK knows that each outage is over.
func (d *demo) waitForSDK() error {
	return waitUntil("the SDK knows that the outage is over", func() (bool, error) { return d.log.TookOutagesIn(), nil })
}

// logsSince waits until both stores have logged a number of lines more than before,
// and returns these.
func (d *demo) logsSince(before [2][]string, reader *reader, count int) (since [2][]string, err error) {
	err = waitUntil("both stores have logged the outage", func() (bool, error) {
		logs, err := d.logs(reader)
		if err != nil {
			return false, err
		}
		for i := range logs {
			since[i] = logs[i][len(before[i]):]
		}
		return len(since[0]) >= count && len(since[1]) >= count, nil
	})
	return since, err
}

// logs returns what the stores of the two processes have logged.
func (d *demo) logs(reader *reader) (logs [2][]string, err error) {
	logs[0] = d.log.Lines(storeLines)
	logs[1], err = reader.log()
	return logs, err
}

// load lets both processes evaluate at the same time while it does something
// else.
func (d *demo) load(writer *participant, reader *reader, while time.Duration, meanwhile func() error) (l [2]Load, err error) {
	if err := reader.ask("load " + while.String()); err != nil {
		return l, err
	}
	loaded := make(chan Load)
	go func() { loaded <- writer.evaluateFor(while) }()
	err = meanwhile()
	l[0] = <-loaded
	if err != nil {
		return l, err
	}
	return l, reader.answer(&l[1])
}

// switchFlag switches a flag on and waits until the connected process has it.
func (d *demo) switchFlag(writer *participant) (took time.Duration, err error) {
	start := time.Now()
	if _, err := d.server.Update("/flags/"+switchedFlag, func(flag map[string]any) { flag["on"] = true }); err != nil {
		return 0, err
	}
	err = waitUntil("the connected process has the flag", func() (bool, error) {
		return isSwitched(writer.evaluateAll()), nil
	})
	return time.Since(start), err
}

func (d *demo) repairNetwork(writer *participant, reader *reader) (err error) {
	o := &d.report.Outage
	start := time.Now()
	if err := d.proxy.Mend(); err != nil {
		return err
	}
	err = waitUntil("the reading process has the flag", func() (bool, error) {
		o.Afterwards[1], err = reader.evaluate()
		return isSwitched(o.Afterwards[1]), err
	})
	if err != nil {
		return err
	}
	o.Delivered = time.Since(start)
	o.Afterwards[0] = writer.evaluateAll()
	d.show.repaired(o.Delivered)
	return nil
}

func isSwitched(results []evaluation.Result) bool {
	return find(results, switchedFlag, switchedUser).Value.BoolValue()
}

// storeLines is what the store's lines in a client's log contain.
const storeLines = "DynamoDBFeatureStore: "

// readable leaves out what all of these lines have in common.
func readable(line string) string {
	level, text, _ := strings.Cut(line, ": "+storeLines)
	return level + "  " + text
}

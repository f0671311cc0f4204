package demo

import (
	"strings"
	"time"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
)

const (
	// calmTime and cutTime are how long both processes evaluate before the network
	// is cut and while it is. The second is longer than it takes for both of them
	// to need DynamoDB.
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
	Logs           [2][]string            // what the stores said
}

// goThroughOutage cuts the network to DynamoDB, changes a flag and mends the
// network.
func (d *demo) goThroughOutage(writer *participant, reader *reader) (err error) {
	o := &d.report.Outage
	if o.Before, err = d.load(writer, reader, calmTime, func() error { return nil }); err != nil {
		return err
	}
	var seen time.Duration
	d.proxy.Refuse()
	o.During, err = d.load(writer, reader, cutTime, func() (err error) {
		seen, err = d.switchFlag(writer)
		return err
	})
	if err != nil {
		return err
	}
	o.Evaluations[0] = writer.evaluateAll()
	if o.Evaluations[1], err = reader.evaluate(); err != nil {
		return err
	}
	d.show.outage(o, seen)

	if err := d.mendNetwork(writer, reader); err != nil {
		return err
	}
	err = waitUntil("the SDK knows that the outage is over", func() (bool, error) { return d.log.TookOutagesIn(), nil })
	if err != nil {
		return err
	}
	o.Logs[0] = d.log.Lines(storeLines)
	if o.Logs[1], err = reader.log(); err != nil {
		return err
	}
	d.show.logs(o.Logs)
	return nil
}

// load has both processes evaluate at the same time, and does something else
// meanwhile.
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

func (d *demo) mendNetwork(writer *participant, reader *reader) (err error) {
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
	o.Afterwards[0] = writer.evaluateAll()
	d.show.mended(time.Since(start))
	return nil
}

func isSwitched(results []evaluation.Result) bool {
	return find(results, switchedFlag, switchedUser).Value.BoolValue()
}

// storeLines marks what the store logged, in the other lines of a client's log.
const storeLines = "DynamoDBFeatureStore: "

// readable takes off what each of these lines has.
func readable(line string) string {
	level, text, _ := strings.Cut(line, ": "+storeLines)
	return level + "  " + text
}

package demo

import (
	"time"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/tcpproxy"
)

const (
	// lateness is how late DynamoDB answers in a brownout.
	lateness = 2 * time.Second
	// brownoutTime is several TTLs of the reading process, so that all of its flags
	// have to be read again.
	brownoutTime = 4 * time.Second
)

// goThroughBrownout makes DynamoDB answer late while both processes evaluate.
func (d *demo) goThroughBrownout(writer *participant, reader *reader) (err error) {
	d.proxy.Behave(tcpproxy.Conduct{Delay: lateness})
	d.report.Brownout, err = d.load(writer, reader, brownoutTime, func() error { return nil })
	if err != nil {
		return err
	}
	if err := d.proxy.Mend(); err != nil {
		return err
	}
	d.show.brownout(d.report.Outage.Before, d.report.Brownout)
	return d.waitForSDK()
}

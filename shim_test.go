package lddynamodb

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

func (f *fixture) hasEnded(outages int) func() bool {
	return func() bool { return len(f.log.ofStores("WARN:", "can be used again")) == outages }
}

var outageModes = map[string][]FeatureStoreOption{
	"no cache":                        {CacheTTL(0)},
	"cached forever":                  {CacheTTL(-1)},
	"cached, EvictStaleValues":        {CacheTTL(time.Second), StaleValues(EvictStaleValues)},
	"cached, RefreshStaleValues":      {CacheTTL(time.Second), StaleValues(RefreshStaleValues)},
	"cached, RefreshStaleValuesAsync": {CacheTTL(time.Second), StaleValues(RefreshStaleValuesAsync)},
}

func onPartition(partition, action string, fail reply) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == action && strings.Contains(string(r.body), fmt.Sprintf(`{"S":%q}`, partition)) {
			return fail(r)
		}
		return send()
	}
}

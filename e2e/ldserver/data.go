package ldserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// dataSet holds items as JSON by collection ("flags" or "segments") and key.
type dataSet map[string]map[string]json.RawMessage

func parseDataSet(payload []byte) (dataSet, error) {
	var parsed struct {
		Flags    map[string]json.RawMessage `json:"flags"`
		Segments map[string]json.RawMessage `json:"segments"`
	}
	if err := json.Unmarshal(payload, &parsed); err != nil {
		return nil, fmt.Errorf("parsing flags and segments: %w", err)
	}
	data := dataSet{"flags": parsed.Flags, "segments": parsed.Segments}
	for collection, items := range data {
		if items == nil {
			data[collection] = make(map[string]json.RawMessage)
		}
	}
	return data, nil
}

// locate splits a path such as "/flags/my-flag". The key may hold any
// characters, slashes included.
func (d dataSet) locate(path string) (items map[string]json.RawMessage, key string, err error) {
	collection, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	items, known := d[collection]
	if !ok || !known {
		return nil, "", fmt.Errorf("path %q is neither /flags/KEY nor /segments/KEY", path)
	}
	return items, key, nil
}

// Replace serves another payload from now on, and sends all of it to every
// stream.
func (s *Server) Replace(payload []byte) error {
	data, err := parseDataSet(payload)
	if err != nil {
		return err
	}
	return s.change(func(current dataSet) (event, error) {
		clear(current)
		maps.Copy(current, data)
		return current.put(), nil
	})
}

// Patch adds or changes the item at a path such as "/flags/my-flag". The JSON
// holds the whole item with its new version.
func (s *Server) Patch(path string, item []byte) error {
	if !json.Valid(item) {
		return fmt.Errorf("patching %s: not valid JSON", path)
	}
	return s.change(func(data dataSet) (event, error) { return data.patch(path, item) })
}

func (d dataSet) patch(path string, item []byte) (event, error) {
	items, key, err := d.locate(path)
	if err != nil {
		return event{}, err
	}
	items[key] = item
	return newEvent("patch", patchData{Path: path, Data: item}), nil
}

// Delete removes the item at a path. The version is that of the deletion, one
// more than the item's at least.
func (s *Server) Delete(path string, version int) error {
	return s.change(func(data dataSet) (event, error) {
		items, key, err := data.locate(path)
		if err != nil {
			return event{}, err
		}
		delete(items, key)
		return newEvent("delete", deleteData{Path: path, Version: version}), nil
	})
}

// Update changes an item that is there and raises its version by one, as
// someone does who edits a flag on LaunchDarkly's site. It returns the new
// version.
func (s *Server) Update(path string, edit func(item map[string]any)) (version int, err error) {
	err = s.change(func(data dataSet) (event, error) {
		item, err := data.decode(path)
		if err != nil {
			return event{}, err
		}
		old, ok := item["version"].(float64)
		if !ok {
			return event{}, fmt.Errorf("updating %s: it has no version", path)
		}
		edit(item)
		version = int(old) + 1
		item["version"] = version
		encoded, err := json.Marshal(item)
		if err != nil {
			return event{}, fmt.Errorf("updating %s: %w", path, err)
		}
		return data.patch(path, encoded)
	})
	return version, err
}

func (d dataSet) decode(path string) (item map[string]any, err error) {
	items, key, err := d.locate(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(items[key], &item); err != nil {
		return nil, fmt.Errorf("updating %s: %w", path, err)
	}
	return item, nil
}

// change makes a change and sends its event to every stream.
func (s *Server) change(apply func(dataSet) (event, error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	e, err := apply(s.data)
	s.mu.Unlock()
	if err == nil {
		// Not under the lock: the goroutine that takes events replays the data, too.
		s.events.Publish([]string{channel}, e)
	}
	return err
}

// Payload is all that there is now: what an SDK gets that polls.
func (s *Server) Payload() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded, err := json.Marshal(s.data)
	if err != nil {
		panic(fmt.Sprintf("encoding the payload: %v", err)) // all of it was valid JSON when it came in
	}
	return encoded
}

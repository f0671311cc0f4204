package ldserver

import (
	"encoding/json"
	"fmt"
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

// Replace serves another payload from now on, and sends all of it to every SDK.
func (s *Server) Replace(payload []byte) error {
	data, err := parseDataSet(payload)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
	s.broadcast(newEvent("put", putData{Path: "/", Data: data}))
	return nil
}

// Patch adds or changes the item at a path such as "/flags/my-flag". The JSON
// holds the whole item with its new version.
func (s *Server) Patch(path string, item []byte) error {
	if !json.Valid(item) {
		return fmt.Errorf("patching %s: not valid JSON", path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.patch(path, item)
}

func (s *Server) patch(path string, item []byte) error {
	items, key, err := s.data.locate(path)
	if err != nil {
		return err
	}
	items[key] = item
	s.broadcast(newEvent("patch", patchData{Path: path, Data: item}))
	return nil
}

// Delete removes the item at a path. The version is that of the deletion, one
// more than the item's at least.
func (s *Server) Delete(path string, version int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	items, key, err := s.data.locate(path)
	if err != nil {
		return err
	}
	delete(items, key)
	s.broadcast(newEvent("delete", deleteData{Path: path, Version: version}))
	return nil
}

// Update changes an item that is there and raises its version by one, as
// someone does who edits a flag on LaunchDarkly's site. It returns the new
// version.
func (s *Server) Update(path string, change func(item map[string]any)) (version int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items, key, err := s.data.locate(path)
	if err != nil {
		return 0, err
	}
	var item map[string]any
	if err := json.Unmarshal(items[key], &item); err != nil {
		return 0, fmt.Errorf("updating %s: %w", path, err)
	}
	old, ok := item["version"].(float64)
	if !ok {
		return 0, fmt.Errorf("updating %s: it has no version", path)
	}
	change(item)
	version = int(old) + 1
	item["version"] = version
	encoded, err := json.Marshal(item)
	if err != nil {
		return 0, fmt.Errorf("updating %s: %w", path, err)
	}
	return version, s.patch(path, encoded)
}

// Payload is what an SDK that connects now is sent.
func (s *Server) Payload() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded, err := json.Marshal(s.data)
	if err != nil {
		panic(fmt.Sprintf("encoding the payload: %v", err)) // all of it was valid JSON when it came in
	}
	return encoded
}

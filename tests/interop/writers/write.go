// Go's writers over source lines on stdin: go run write.go FOLDER
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"
)

// Integers as int64, all else as float64: what a program's own values would be.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				return i
			}
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

func main() {
	var marshal, indent, html, list bytes.Buffer
	var docs []any
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	raw := json.NewEncoder(&html)
	raw.SetEscapeHTML(false)
	for lines.Scan() {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		var d map[string]any
		if err := dec.Decode(&d); err != nil {
			panic(err)
		}
		plain(d)
		d["at"] = time.UnixMicro(d["at"].(int64)).UTC()
		docs = append(docs, d)
		b, _ := json.Marshal(d)
		marshal.Write(append(b, '\n'))
		b, _ = json.MarshalIndent(d, "", "  ")
		indent.Write(append(b, '\n'))
		raw.Encode(d)
	}
	b, _ := json.MarshalIndent(docs, "", "\t")
	list.Write(b)
	for name, b := range map[string]*bytes.Buffer{"marshal": &marshal, "indent": &indent, "raw": &html, "indent-array": &list} {
		if err := os.WriteFile(os.Args[1]+"/go-"+name+".json", b.Bytes(), 0o644); err != nil {
			panic(err)
		}
	}
}

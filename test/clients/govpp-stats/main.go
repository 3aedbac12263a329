// GoVPP's stats client driven by the tests and the benchmark: what it prints is JSON, one object per line.
//
//	govpp-stats SOCKET dump PATTERN…   the entries that match
//	govpp-stats SOCKET bench N S       N updates of one interface, dumps of /if/, full dumps, and updates of a prepared
//	                                   directory; each of them ends after S seconds, however few there were
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"time"

	"go.fd.io/govpp/adapter"
	"go.fd.io/govpp/adapter/statsclient"
)

func put(fields map[string]any) {
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func value(data adapter.Stat) any {
	switch stat := data.(type) {
	case adapter.ScalarStat:
		return float64(stat)
	case adapter.SimpleCounterStat:
		return [][]adapter.Counter(stat)
	case adapter.CombinedCounterStat:
		return [][]adapter.CombinedCounter(stat)
	case adapter.NameStat:
		names := make([]string, len(stat))
		for i, name := range stat {
			names[i] = string(name)
		}
		return names
	}
	return nil
}

func bench(client *statsclient.StatsClient, count int, limit time.Duration) {
	measure := func(row string, entries int, work func()) {
		took := []float64{}
		for end := time.Now().Add(limit); len(took) == 0 || len(took) < count && time.Now().Before(end); {
			began := time.Now()
			work()
			took = append(took, float64(time.Since(began).Nanoseconds())/1e6)
		}
		runs := len(took)
		sort.Float64s(took)
		put(map[string]any{"row": row, "entries": entries, "runs": runs, "p50ms": took[runs/2], "p99ms": took[runs*99/100]})
	}
	one, err := client.PrepareDir("/interfaces/bench7/")
	check(err)
	measure("interface", len(one.Entries), func() {
		for i := 0; i < 100; i++ {
			check(client.UpdateDir(one))
		}
	})
	vectors, err := client.DumpStats("/if/")
	check(err)
	measure("vectors", len(vectors), func() { _, err := client.DumpStats("/if/"); check(err) })
	names, err := client.ListStats()
	check(err)
	measure("dump", len(names), func() { _, err := client.DumpStats(); check(err) })
	dir, err := client.PrepareDir()
	check(err)
	measure("update", len(dir.Entries), func() { check(client.UpdateDir(dir)) })
}

func main() {
	client := statsclient.NewStatsClient(os.Args[1])
	check(client.Connect())
	defer client.Disconnect()
	if os.Args[2] == "bench" {
		count, err := strconv.Atoi(os.Args[3])
		check(err)
		seconds, err := strconv.Atoi(os.Args[4])
		check(err)
		bench(client, count, time.Duration(seconds)*time.Second)
		return
	}
	entries, err := client.DumpStats(os.Args[3:]...)
	check(err)
	for _, entry := range entries {
		put(map[string]any{"name": string(entry.Name), "type": entry.Type, "symlink": entry.Symlink, "value": value(entry.Data)})
	}
}

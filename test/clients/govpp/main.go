// A GoVPP client driven by the tests and the benchmark: what it prints is JSON, one object per line.
//
//	govpp SOCKET check      one request, a dump, a stream, an RPC dump, a subscription and an event
//	govpp SOCKET configure  memifs, addresses, VRF, a VLAN sub-interface, routes, a bridge domain and their dumps
//	govpp SOCKET bench      a row of the benchmark per line of its standard input: ping N, pipelined N WINDOW,
//	                        add N WINDOW and del N WINDOW (routes), dump (of the routes)
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"go.fd.io/govpp"
	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/fib_types"
	interfaces "go.fd.io/govpp/binapi/interface"
	"go.fd.io/govpp/binapi/interface_types"
	"go.fd.io/govpp/binapi/ip"
	"go.fd.io/govpp/binapi/ip_types"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/memif"
	"go.fd.io/govpp/binapi/vpe"
	"go.fd.io/govpp/core"
)

func print(fields map[string]any) {
	text, _ := json.Marshal(fields)
	fmt.Println(string(text))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(conn *core.Connection) {
	ch, err := conn.NewAPIChannel()
	must(err)
	defer ch.Close()
	must(ch.CheckCompatiblity(vpe.AllMessages()...))

	version := &vpe.ShowVersionReply{}
	must(ch.SendRequest(&vpe.ShowVersion{}).ReceiveReply(version))
	print(map[string]any{"step": "sync", "version": version.Version})

	names := []string{}
	multi := ch.SendMultiRequest(&interfaces.SwInterfaceDump{SwIfIndex: ^interface_types.InterfaceIndex(0)})
	for {
		details := &interfaces.SwInterfaceDetails{}
		last, err := multi.ReceiveReply(details)
		must(err)
		if last {
			break
		}
		names = append(names, details.InterfaceName)
	}
	print(map[string]any{"step": "dump", "names": names})

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx)
	must(err)
	for i := 0; i < 3; i++ {
		must(stream.SendMsg(&vpe.ShowVersion{}))
	}
	replies := 0
	for i := 0; i < 3; i++ {
		msg, err := stream.RecvMsg()
		must(err)
		if _, ok := msg.(*vpe.ShowVersionReply); ok {
			replies++
		}
	}
	must(stream.Close())
	print(map[string]any{"step": "stream", "replies": replies})

	rpc := interfaces.NewServiceClient(conn)
	dump, err := rpc.SwInterfaceDump(ctx, &interfaces.SwInterfaceDump{SwIfIndex: ^interface_types.InterfaceIndex(0)})
	must(err)
	rows := 0
	for {
		_, err := dump.Recv()
		if err == io.EOF {
			break
		}
		must(err)
		rows++
	}
	print(map[string]any{"step": "rpc dump", "rows": rows})

	_, err = rpc.SwInterfaceSetFlags(ctx, &interfaces.SwInterfaceSetFlags{SwIfIndex: 4242})
	print(map[string]any{"step": "error", "text": fmt.Sprint(err)})

	watcher, err := conn.WatchEvent(ctx, (*interfaces.SwInterfaceEvent)(nil))
	must(err)
	_, err = rpc.WantInterfaceEvents(ctx, &interfaces.WantInterfaceEvents{EnableDisable: 1, PID: uint32(os.Getpid())})
	must(err)
	print(map[string]any{"step": "wanted"})
	select {
	case event := <-watcher.Events():
		e := event.(*interfaces.SwInterfaceEvent)
		print(map[string]any{"step": "event", "sw_if_index": e.SwIfIndex, "pid_is_mine": e.PID == uint32(os.Getpid())})
	case <-ctx.Done():
		must(ctx.Err())
	}
	watcher.Close()
}

func configure(conn *core.Connection) {
	ctx := context.Background()
	memifs := memif.NewServiceClient(conn)
	_, err := memifs.MemifSocketFilenameAddDelV2(ctx, &memif.MemifSocketFilenameAddDelV2{IsAdd: true, SocketID: 5, SocketFilename: "govpp.sock"})
	must(err)
	created, err := memifs.MemifCreateV2(ctx, &memif.MemifCreateV2{Role: memif.MEMIF_ROLE_API_MASTER, ID: 3, SocketID: 5, RingSize: 256, BufferSize: 2048})
	must(err)
	var names []string
	dump, err := memifs.MemifDump(ctx, &memif.MemifDump{})
	must(err)
	for {
		row, err := dump.Recv()
		if err == io.EOF {
			break
		}
		must(err)
		names = append(names, row.IfName)
	}
	print(map[string]any{"step": "memif", "sw_if_index": created.SwIfIndex, "names": names})

	ifs := interfaces.NewServiceClient(conn)
	_, err = ifs.SwInterfaceSetFlags(ctx, &interfaces.SwInterfaceSetFlags{SwIfIndex: created.SwIfIndex, Flags: interface_types.IF_STATUS_API_FLAG_ADMIN_UP})
	must(err)
	sub, err := ifs.CreateVlanSubif(ctx, &interfaces.CreateVlanSubif{SwIfIndex: created.SwIfIndex, VlanID: 100})
	must(err)
	ips := ip.NewServiceClient(conn)
	_, err = ips.IPTableAddDelV2(ctx, &ip.IPTableAddDelV2{IsAdd: true, CreateMfib: true, Table: ip.IPTable{TableID: 9, Name: "blue"}})
	must(err)
	_, err = ifs.SwInterfaceSetTable(ctx, &interfaces.SwInterfaceSetTable{SwIfIndex: sub.SwIfIndex, VrfID: 9})
	must(err)
	prefix, err := ip_types.ParseAddressWithPrefix("172.16.5.1/24")
	must(err)
	_, err = ifs.SwInterfaceAddDelAddress(ctx, &interfaces.SwInterfaceAddDelAddress{SwIfIndex: sub.SwIfIndex, IsAdd: true, Prefix: prefix})
	must(err)
	_, err = ifs.SwInterfaceSetFlags(ctx, &interfaces.SwInterfaceSetFlags{SwIfIndex: sub.SwIfIndex, Flags: interface_types.IF_STATUS_API_FLAG_ADMIN_UP})
	must(err)
	table, err := ifs.SwInterfaceGetTable(ctx, &interfaces.SwInterfaceGetTable{SwIfIndex: sub.SwIfIndex})
	must(err)
	var prefixes []string
	routes, err := ips.IPRouteV2Dump(ctx, &ip.IPRouteV2Dump{Table: ip.IPTable{TableID: 9}})
	must(err)
	for {
		row, err := routes.Recv()
		if err == io.EOF {
			break
		}
		must(err)
		prefixes = append(prefixes, row.Route.Prefix.String())
	}
	print(map[string]any{"step": "vrf", "table": table.VrfID, "prefixes": prefixes})

	_, err = memifs.MemifDelete(ctx, &memif.MemifDelete{SwIfIndex: 4242})
	print(map[string]any{"step": "error", "text": fmt.Sprint(err)})
	_, err = memifs.MemifDelete(ctx, &memif.MemifDelete{SwIfIndex: created.SwIfIndex})
	must(err)
	left, err := ifs.SwInterfaceDump(ctx, &interfaces.SwInterfaceDump{SwIfIndex: ^interface_types.InterfaceIndex(0)})
	must(err)
	rest := 0
	for {
		_, err := left.Recv()
		if err == io.EOF {
			break
		}
		must(err)
		rest++
	}
	print(map[string]any{"step": "deleted", "left": rest})
}

// bench does one row per line of the standard input: `ROW COUNT WINDOW`.
func bench(conn *core.Connection) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var row string
		var count, window int
		fmt.Sscan(lines.Text(), &row, &count, &window)
		switch row {
		case "ping":
			benchPing(conn, count)
		case "pipelined":
			benchPipelined(conn, row, count, window, func(int) api.Message { return &memclnt.ControlPing{} },
				func() api.Message { return &memclnt.ControlPingReply{} })
		case "add", "del":
			benchPipelined(conn, row, count, window, func(i int) api.Message { return route(i, row == "add") },
				func() api.Message { return &ip.IPRouteAddDelV2Reply{} })
		case "dump":
			benchDump(conn)
		}
	}
}

func route(n int, add bool) api.Message {
	prefix := ip_types.Prefix{Len: 32}
	prefix.Address.Un.SetIP4(ip_types.IP4Address{10, byte(n >> 16), byte(n >> 8), byte(n)})
	path := fib_types.FibPath{SwIfIndex: 0, Weight: 1, Type: fib_types.FIB_API_PATH_TYPE_LOCAL}
	return &ip.IPRouteAddDelV2{IsAdd: add, Route: ip.IPRouteV2{Prefix: prefix, Paths: []fib_types.FibPath{path}}}
}

func benchPing(conn *core.Connection, count int) {
	ch, err := conn.NewAPIChannel()
	must(err)
	defer ch.Close()
	ch.SetReplyTimeout(60 * time.Second)
	took := make([]float64, count)
	began := time.Now()
	for i := 0; i < count; i++ {
		t := time.Now()
		must(ch.SendRequest(&memclnt.ControlPing{}).ReceiveReply(&memclnt.ControlPingReply{}))
		took[i] = float64(time.Since(t).Nanoseconds()) / 1000
	}
	seconds := time.Since(began).Seconds()
	sort.Float64s(took)
	print(map[string]any{"row": "ping", "perSecond": float64(count) / seconds, "p50us": took[count/2], "p99us": took[count*99/100]})
}

func benchPipelined(conn *core.Connection, row string, count int, window int, request func(int) api.Message, reply func() api.Message) {
	ch, err := conn.NewAPIChannelBuffered(window+8, window+8)
	must(err)
	defer ch.Close()
	ch.SetReplyTimeout(60 * time.Second)
	contexts := make(chan api.RequestCtx, window)
	began := time.Now()
	go func() {
		for i := 0; i < count; i++ {
			contexts <- ch.SendRequest(request(i))
		}
		close(contexts)
	}()
	for c := range contexts {
		must(c.ReceiveReply(reply()))
	}
	print(map[string]any{"row": row, "count": count, "perSecond": float64(count) / time.Since(began).Seconds()})
}

func benchDump(conn *core.Connection) {
	began := time.Now()
	dump, err := ip.NewServiceClient(conn).IPRouteV2Dump(context.Background(), &ip.IPRouteV2Dump{})
	must(err)
	rows := 0
	for {
		_, err := dump.Recv()
		if err == io.EOF {
			break
		}
		must(err)
		rows++
	}
	print(map[string]any{"row": "dump", "count": rows, "perSecond": float64(rows) / time.Since(began).Seconds()})
}

func main() {
	conn, err := govpp.Connect(os.Args[1])
	must(err)
	if os.Args[2] == "check" {
		check(conn)
	} else if os.Args[2] == "configure" {
		configure(conn)
	} else {
		bench(conn)
	}
	conn.Disconnect()
	print(map[string]any{"step": "disconnected"})
}

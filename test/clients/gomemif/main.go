// A memif peer made with gomemif: sends back every packet on the queue it came on, each byte inverted; or, for the
// benchmark, sends 64-byte packets without pause, or counts what comes. It says on stdout when it is connected and when
// not, and ends with its standard input.
package main

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.fd.io/govpp/extras/gomemif/memif"
)

var connected atomic.Bool

// echo polls one queue pair for as long as the interface is connected.
func echo(i *memif.Interface, queue int) {
	rx, err := i.GetRxQueue(queue)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	tx, err := i.GetTxQueue(queue)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	packet := make([]byte, 65536)
	for connected.Load() {
		n, err := rx.ReadPacket(packet)
		if err != nil {
			fmt.Println("error", err)
			return
		}
		if n == 0 {
			time.Sleep(20 * time.Microsecond)
			continue
		}
		for at := range packet[:n] {
			packet[at] ^= 255
		}
		for tx.WritePacket(packet[:n]) == 0 && connected.Load() {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// flood sends packets of 64 bytes as fast as the ring takes them.
func flood(i *memif.Interface) {
	tx, err := i.GetTxQueue(0)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	packet := make([]byte, 64)
	packet[12], packet[14] = 8, 0x45
	for connected.Load() {
		tx.WritePacket(packet)
	}
}

// count reads packets and says each second how many there were.
func count(i *memif.Interface) {
	rx, err := i.GetRxQueue(0)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	packet := make([]byte, 65536)
	began, got := time.Now(), 0
	for connected.Load() {
		for turn := 0; turn < 1000; turn++ {
			n, err := rx.ReadPacket(packet)
			if err != nil {
				fmt.Println("error", err)
				return
			}
			if n > 0 {
				got++
			}
		}
		if took := time.Since(began); took >= time.Second {
			fmt.Println("pps", int(float64(got)/took.Seconds()))
			began, got = time.Now(), 0
		}
	}
}

func main() {
	address := flag.String("socket", "", "path, or @name")
	server := flag.Bool("server", false, "listen instead of connecting")
	id := flag.Uint("id", 0, "interface id")
	pairs := flag.Uint("pairs", 1, "queue pairs")
	secret := flag.String("secret", "", "what a client must know")
	work := flag.String("work", "echo", "echo, flood or count")
	flag.Parse()

	socket, err := memif.NewSocket("gomemif peer", *address)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	// Several pairs only as a server: as a client this version writes the descriptors of the second into the ring behind.
	memory := memif.MemoryConfig{NumQueuePairs: uint16(*pairs), Log2RingSize: 8}
	arguments := memif.Arguments{
		Id:           uint32(*id),
		IsMaster:     *server,
		Name:         "go0",
		MemoryConfig: memory,
		ConnectedFunc: func(i *memif.Interface) error {
			connected.Store(true)
			fmt.Println("up", i.GetPeerName(), i.GetRemoteName())
			switch *work {
			case "flood":
				go flood(i)
			case "count":
				go count(i)
			default:
				for queue := 0; queue < int(*pairs); queue++ {
					go echo(i, queue)
				}
			}
			return nil
		},
		DisconnectedFunc: func(i *memif.Interface) error {
			connected.Store(false)
			fmt.Println("down")
			return nil
		},
	}
	copy(arguments.Secret[:], *secret)
	i, err := socket.NewInterface(&arguments)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	failures := make(chan error, 16)
	go func() {
		for failure := range failures {
			fmt.Println("error", failure)
		}
	}()
	socket.StartPolling(failures)
	if !*server {
		for tries := 0; tries < 50; tries++ {
			if err = i.RequestConnection(); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	fmt.Println("ready")
	// The other end of the pipe closes when the test is done, however it ends.
	os.Stdin.Read(make([]byte, 1))
	connected.Store(false)
	time.Sleep(time.Millisecond)
	socket.StopPolling()
	socket.Delete()
}

module node-vpp-test/govpp

go 1.21

require go.fd.io/govpp v0.13.0

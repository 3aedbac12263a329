#!/usr/bin/env node
// The `node-vpp` command: one file per subcommand, each registered here.

export {};

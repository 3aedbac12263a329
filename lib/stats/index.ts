// `node-vpp/stats`: VPP's stats segment, read in place.

export {};

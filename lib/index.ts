// The package's front page: what every part shares. The parts have entries of their own (`node-vpp/memif`, …).

export * from './errors.js';

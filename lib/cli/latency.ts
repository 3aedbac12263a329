// A histogram of times in memory that threads share: one writes, another reads percentiles.
//
//   bucket   32 per doubling, from 1 ns to 2^37 ns (137 s): a percentile is right to within 2.2 %
//
// The reader keeps a copy of what it saw last: the difference is what came since.

const perDoubling = 32;
const doublings = 37;
const buckets = perDoubling * doublings;

/** Memory for a histogram. */
export function newHistogram(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(buckets * Float64Array.BYTES_PER_ELEMENT));
}

/** Counts a time. */
export function count(histogram: Float64Array, ns: number): void {
  const bucket = ns < 1 ? 0 : Math.floor(Math.log2(ns) * perDoubling);
  histogram[bucket < buckets ? bucket : buckets - 1]!++;
}

/** Percentiles in microseconds; NaN when nothing was counted. */
export interface Percentiles {
  readonly samples: number;
  readonly p50: number;
  readonly p99: number;
}

/** Percentiles of a histogram, less what `before` had counted already. */
export function percentiles(histogram: Float64Array, before?: Float64Array): Percentiles {
  let samples = 0;
  const counts = new Float64Array(buckets);
  for (let i = 0; i < buckets; i++) samples += counts[i] = histogram[i]! - (before?.[i] ?? 0);
  const at = (part: number): number => {
    const rank = Math.ceil(samples * part);
    let seen = 0;
    for (let i = 0; i < buckets; i++) {
      seen += counts[i]!;
      // The middle of the bucket, on the same scale.
      if (seen >= rank && rank > 0) return 2 ** ((i + 0.5) / perDoubling) / 1000;
    }
    return NaN;
  };
  return { samples, p50: at(0.5), p99: at(0.99) };
}

/** A reader's view: the whole run, and what came since the last look. */
export class LatencyReader {
  readonly #histogram: Float64Array;
  #first: Float64Array;
  #last: Float64Array;

  constructor(histogram: Float64Array) {
    this.#histogram = histogram;
    this.#first = this.#last = Float64Array.from(histogram);
  }

  /** Leaves out what has been counted so far: the run begins now. */
  restart(): void {
    this.#first = this.#last = Float64Array.from(this.#histogram);
  }

  /** Since the last call. */
  recent(): Percentiles {
    const now = Float64Array.from(this.#histogram);
    const result = percentiles(now, this.#last);
    this.#last = now;
    return result;
  }

  get total(): Percentiles {
    return percentiles(this.#histogram, this.#first);
  }
}

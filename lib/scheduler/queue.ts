// The queue in front of the engine: highest priority first, first come first served within one. Nothing is ever dropped;
// notifications that have not been taken yet are merged by key instead.
//
//   [ prio 10: resync ] [ prio 0: change, change, notification(12 keys) ] [ prio -5: retry ]

/** Something the engine will do. */
export interface Job {
  readonly priority: number;
  readonly queuedMs: number;
  /** Journals what it is about to do; called for several jobs in a row before one sync. */
  prepare?(): void;
  /** Never rejects: errors go to whoever asked for the job. */
  run(): Promise<void> | void;
}

/** Jobs in the order they will be done. */
export class Queue {
  #jobs: Job[] = [];
  #head = 0;

  get length(): number {
    return this.#jobs.length - this.#head;
  }

  push(job: Job): void {
    const jobs = this.#jobs;
    let at = jobs.length;
    while (at > this.#head && jobs[at - 1]!.priority < job.priority) at -= 1;
    if (at === jobs.length) jobs.push(job);
    else jobs.splice(at, 0, job);
  }

  shift(): Job | undefined {
    const job = this.#jobs[this.#head];
    if (job === undefined) return undefined;
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#jobs.length) {
      this.#jobs = this.#jobs.slice(this.#head);
      this.#head = 0;
    }
    return job;
  }

  peek(): Job | undefined {
    return this.#jobs[this.#head];
  }

  /** Takes a job that has not begun out again. */
  remove(job: Job): boolean {
    const at = this.#jobs.indexOf(job, this.#head);
    if (at < 0) return false;
    this.#jobs.splice(at, 1);
    return true;
  }
}

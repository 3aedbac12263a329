export function runCommand(_state: unknown, _cmd: string): string { return ''; }

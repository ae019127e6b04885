export interface Fault {
  under: string;
  kind: 'count' | 'kill' | 'vanish' | 'slow' | 'ENOSPC' | 'EACCES' | 'EROFS' | 'EIO';
  at?: number;
  log?: string;
  in?: string;
}
export function arm(fault?: Fault): void;

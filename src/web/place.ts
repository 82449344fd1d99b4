/**
 * Where the page is, which says whose page it is and where the run's routes are: `/join/<code>` or `/view/<code>`.
 *
 * @module
 */

export interface Place {
  readonly kind: 'join' | 'view';
  /** Of the routes, without a slash at the end: `/<code>`. */
  readonly base: string;
}

export function placeOf(pathname: string): Place | undefined {
  const path = /^\/(join|view)\/([^/]+)\/?$/.exec(pathname);
  return path === null ? undefined : { kind: path[1] as Place['kind'], base: `/${path[2]}` };
}

/** The views, in their order, by the name that an address has behind its `#`. */
export const VIEWS = {
  run: 'Run',
  peers: 'Peers',
  network: 'Network',
  try: 'Try it',
  journal: 'Journal',
  config: 'Config',
  join: 'Join',
} as const;

export type ViewName = keyof typeof VIEWS;

export const viewIn = (hash: string): ViewName => {
  const name = hash.replace(/^#/, '');
  return Object.hasOwn(VIEWS, name) ? (name as ViewName) : 'run';
};

/** Types of build-browser.mjs, for the tests that bundle pages of their own. */
export declare function buildBrowser(entries?: Readonly<Record<string, string>>, outDir?: string): Promise<unknown>;

/**
 * The official builds of ONNX Runtime (since 1.29) send usage data to their maker and keep a device id on disk unless
 * this variable is set before the library initialises. Murmur talks to nobody it was not told to talk to.
 *
 * The native library reads the environment of the process, which only the main thread can change: whoever starts
 * workers that compute imports this module first.
 *
 * @module
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';

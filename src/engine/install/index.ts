export { cacheFolder } from './cache-folder.js';
export { findInstalledTensorflow, findPlugin } from './find.js';
export { type InstallOptions, installPlugin, removePlugin } from './install.js';
export type { PluginLocation } from './location.js';
export { PLUGIN_NAMES } from './recipes.js';
export { listPlugins, type PluginStatus } from './status.js';
export { forgetVerified } from './store.js';

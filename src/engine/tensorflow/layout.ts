/** Paths within an installed TensorFlow, and what joins its parts. */

/** tfjs-node's JavaScript, from npm. */
export const NODE_PACKAGE = 'node_modules/@tensorflow/tfjs-node-gpu';

/** The native binding, whose run path is `$ORIGIN/../../deps/lib`, and its SHA-256. */
export const BINDING = 'lib/napi-v8/tfjs_binding.node';
export const BINDING_SHA256 = '58828608a4503fe3217da8d5f85db0e44497ff8f047e7be3fc35a145ddcf1c7a';

/** The committed binding, within this package; its README.md says how it was built. */
export const PREBUILT_BINDING = 'fixtures/tfjs-binding/tfjs_binding.node';

/** Where the wheels keep TensorFlow's libraries; they look for NVIDIA's below `../nvidia`. */
export const TENSORFLOW_FOLDER = 'tensorflow';

/** Leads from the binding's run path there. */
export const LIBRARY_LINK = 'deps/lib';

/** Where this program leaves its tfjs-core for the stub of `@tensorflow/tfjs`. */
export const TFJS_CORE = Symbol.for('sparselaw.tfjs-core');

const stub = (name: string): Record<string, string> => ({
  [`node_modules/@tensorflow/${name}/package.json`]: `{"name":"@tensorflow/${name}","main":"index.js"}\n`,
  [`node_modules/@tensorflow/${name}/index.js`]:
    "// sparselaw's own tfjs-core stands in for the whole of tfjs: there must be one copy of it.\n" +
    "module.exports = globalThis[Symbol.for('sparselaw.tfjs-core')];\n",
});

/** Files of the tree that are ours, by path: what tfjs-node's modules ask for. */
export const STUBS: Readonly<Record<string, string>> = {
  ...stub('tfjs'),
  ...stub('tfjs-core'),
  [`${NODE_PACKAGE}/dist/proto/api_pb.js`]:
    '// Messages of TensorBoard, which sparselaw never writes.\nmodule.exports = {};\n',
};

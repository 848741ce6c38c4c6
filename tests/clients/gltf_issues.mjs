// What the glTF validator says of a file.
// Usage: node gltf_issues.mjs NODE_MODULES IN.glb OUT.json
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, source, target] = process.argv.slice(2);
const { validateBytes } = createRequire(`${modules}/`)('gltf-validator');
const { issues } = await validateBytes(new Uint8Array(readFileSync(source)));
writeFileSync(target, JSON.stringify({ errors: issues.numErrors, warnings: issues.numWarnings, messages: issues.messages }));

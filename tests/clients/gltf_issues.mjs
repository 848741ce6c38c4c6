// What the glTF validator says of files.
// Usage: node gltf_issues.mjs NODE_MODULES OUT.json IN.glb...
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, target, ...sources] = process.argv.slice(2);
const { validateBytes } = createRequire(`${modules}/`)('gltf-validator');
const found = [];
for (const source of sources) {
	const { issues } = await validateBytes(new Uint8Array(readFileSync(source)));
	found.push({ errors: issues.numErrors, warnings: issues.numWarnings, messages: issues.messages });
}
writeFileSync(target, JSON.stringify(found));

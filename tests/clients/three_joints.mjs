// What three.js's loaders make of files, played through its AnimationMixer.
// Usage: node three_joints.mjs NODE_MODULES JOB.json, a job and its answers as in answer.py
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, job] = process.argv.slice(2);
const three = (file) => import(pathToFileURL(`${modules}/three/${file}`));
globalThis.self = globalThis; // the loaders were made for browsers
globalThis.window = globalThis;
const THREE = await three('build/three.module.js');

async function load(source) {
	const data = readFileSync(source);
	const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
	if (source.endsWith('.bvh')) {
		const { BVHLoader } = await three('examples/jsm/loaders/BVHLoader.js');
		const { skeleton, clip } = new BVHLoader().parse(data.toString('utf8'));
		return { scene: skeleton.bones[0], clip };
	}
	if (source.endsWith('.glb')) {
		const { GLTFLoader } = await three('examples/jsm/loaders/GLTFLoader.js');
		const { scene, animations } = await new GLTFLoader().parseAsync(buffer, '');
		return { scene, clip: animations[0] };
	}
	const { FBXLoader } = await three('examples/jsm/loaders/FBXLoader.js');
	const scene = new FBXLoader().parse(buffer, '');
	return { scene, clip: scene.animations[0] };
}

function rows(node) {
	const e = node.matrixWorld.elements; // by columns
	return [e[0], e[4], e[8], e[12], e[1], e[5], e[9], e[13], e[2], e[6], e[10], e[14]];
}

function skinOf(node) {
	const found = [];
	for (let index = 0; index < node.geometry.attributes.position.count; index++) {
		found.push(...node.getVertexPosition(index, new THREE.Vector3()).applyMatrix4(node.matrixWorld).toArray());
	}
	return found;
}

function play({ scene, clip }) {
	const mixer = new THREE.AnimationMixer(scene);
	const action = mixer.clipAction(clip);
	action.setLoop(THREE.LoopOnce);
	action.clampWhenFinished = true;
	action.play();
	const bones = [];
	let skin;
	const moved = new Set(clip.tracks.map((track) => THREE.PropertyBinding.parseTrackName(track.name).nodeName));
	scene.traverse((node) => {
		const known = node.isBone || moved.has(node.name) || moved.has(node.uuid);
		if (known && node.name !== 'ENDSITE' && node !== scene.parent) bones.push(node);
		if (node.isSkinnedMesh) skin = node;
	});
	scene.updateMatrixWorld(true);
	const rest = bones.flatMap(rows);
	// Files may leave out keys; two that follow each other tell the frames' distance.
	const gaps = clip.tracks
		.flatMap(({ times }) => Array.from(times.slice(1), (time, index) => time - times[index]))
		.filter((gap) => gap > 1e-5);
	const count = gaps.length ? Math.round(clip.duration / gaps.reduce((a, b) => Math.min(a, b))) + 1 : 1;
	const wanted = new Set([0, Math.floor((count - 1) / 2), count - 1]);
	const places = [];
	const vertices = [];
	for (let frame = 0; frame < count; frame++) {
		mixer.setTime(count > 1 ? (clip.duration * frame) / (count - 1) : 0);
		scene.updateMatrixWorld(true);
		for (const bone of bones) places.push(...rows(bone));
		if (skin && wanted.has(frame)) for (const value of skinOf(skin)) vertices.push(value);
	}
	const names = bones.map((bone) => bone.userData.originalName ?? bone.userData.name ?? bone.name);
	const arrays = { rest: [bones.length, 3, 4], places: [count, bones.length, 3, 4] };
	if (skin) arrays.vertices = [wanted.size, vertices.length / 3 / wanted.size, 3];
	const rate_hz = count > 1 ? (count - 1) / clip.duration : 0;
	return { head: { names, rate_hz, arrays }, values: Float64Array.from([...rest, ...places, ...vertices]) };
}

for (const [source, target] of JSON.parse(readFileSync(job, 'utf8')).files) {
	try {
		const { head, values } = play(await load(source));
		writeFileSync(`${target}.f64`, Buffer.from(values.buffer));
		writeFileSync(`${target}.json`, JSON.stringify(head));
	} catch (error) {
		writeFileSync(`${target}.json`, JSON.stringify({ error: `${error}` }));
	}
}

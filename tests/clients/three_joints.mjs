// What three.js's loaders make of a file, played through its AnimationMixer.
// Usage: node three_joints.mjs NODE_MODULES IN.bvh|IN.fbx|IN.glb OUT.json
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, source, target] = process.argv.slice(2);
const three = (file) => import(pathToFileURL(`${modules}/three/${file}`));
globalThis.self = globalThis; // the loaders were made for browsers
globalThis.window = globalThis;
const THREE = await three('build/three.module.js');

async function load() {
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

const { scene, clip } = await load();
const mixer = new THREE.AnimationMixer(scene);
const action = mixer.clipAction(clip);
action.setLoop(THREE.LoopOnce);
action.clampWhenFinished = true;
action.play();

const bones = [];
const moved = new Set(clip.tracks.map((track) => THREE.PropertyBinding.parseTrackName(track.name).nodeName));
scene.traverse((node) => {
	const known = node.isBone || moved.has(node.name) || moved.has(node.uuid);
	if (known && node.name !== 'ENDSITE' && node !== scene.parent) bones.push(node);
});
// Files may leave out keys; two that follow each other tell the frames' distance.
const gaps = clip.tracks.flatMap(({ times }) => Array.from(times.slice(1), (time, index) => time - times[index]));
const count = gaps.length ? Math.round(clip.duration / Math.min(...gaps)) + 1 : 1;
const joints = [];
for (let frame = 0; frame < count; frame++) {
	mixer.setTime(count > 1 ? (clip.duration * frame) / (count - 1) : 0);
	scene.updateMatrixWorld(true);
	joints.push(bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray()));
}
const rate_hz = count > 1 ? (count - 1) / clip.duration : 0;
const names = bones.map((bone) => bone.userData.originalName ?? bone.userData.name ?? bone.name);
writeFileSync(target, JSON.stringify({ names, rate_hz, joints }));

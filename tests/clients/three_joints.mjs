// What three.js's BVHLoader makes of a file, played through its AnimationMixer.
// Usage: node three_joints.mjs NODE_MODULES IN.bvh OUT.json
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, source, target] = process.argv.slice(2);
const three = (file) => import(pathToFileURL(`${modules}/three/${file}`));
const THREE = await three('build/three.module.js');
const { BVHLoader } = await three('examples/jsm/loaders/BVHLoader.js');

const { skeleton, clip } = new BVHLoader().parse(readFileSync(source, 'utf8'));
const root = skeleton.bones[0];
const mixer = new THREE.AnimationMixer(root);
const action = mixer.clipAction(clip);
action.setLoop(THREE.LoopOnce);
action.clampWhenFinished = true;
action.play();

const bones = skeleton.bones.filter((bone) => bone.name !== 'ENDSITE');
const times = clip.tracks[0].times;
const joints = [];
for (const time of times) {
	mixer.setTime(time);
	root.updateMatrixWorld(true);
	joints.push(bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray()));
}
const rate_hz = times.length > 1 ? (times.length - 1) / (times[times.length - 1] - times[0]) : 0;
writeFileSync(target, JSON.stringify({ names: bones.map((bone) => bone.name), rate_hz, joints }));

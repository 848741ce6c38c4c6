"""The frame of the calibration report: style and script of one page that needs nothing from outside."""

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--bg:#f5f6f8;--card:#fff;--ok:#1b7f4b;--warn:#9a6400;
--fail:#b3261e;--okbg:#e4f4ea;--warnbg:#fdf1da;--failbg:#fce4e2;--accent:#0b5cad;--shade:0,92,173}
@media(prefers-color-scheme:dark){:root{--ink:#e7ebf0;--soft:#9aa6b5;--line:#333d49;--bg:#14181d;
--card:#1d232a;--ok:#63d197;--warn:#f0b955;--fail:#ff8a80;--okbg:#173526;--warnbg:#3a2d12;--failbg:#431d1b;
--accent:#7db8f5;--shade:110,170,240}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:34px 0 10px}h3{font-size:15px;margin:0 0 6px}
p{margin:6px 0}.soft{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px}
.verdict{display:flex;gap:14px;align-items:flex-start;margin-top:14px}
.verdict.ok{background:var(--okbg)}.verdict.warn{background:var(--warnbg)}.verdict.fail{background:var(--failbg)}
.verdict .mark{font-size:26px;line-height:1.1}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px;margin-top:14px}
.figures .card{padding:12px 14px}.figures b{display:block;font-size:22px}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:14px}
.columns ul{margin:4px 0;padding-left:20px}.columns li{margin:5px 0}
.stage{position:relative}.stage canvas{width:100%;height:460px;display:block;cursor:grab;touch-action:none}
.stage .tools{position:absolute;right:12px;top:12px;display:flex;gap:6px}
button{font:inherit;font-size:13px;padding:3px 10px;border:1px solid var(--line);border-radius:6px;
background:var(--card);color:var(--ink);cursor:pointer}
button:focus-visible{outline:2px solid var(--accent)}
.maps{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:14px}
.maps canvas{width:100%;display:block;border-radius:6px;border:1px solid var(--line)}
.swatch{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft);white-space:nowrap}td.n,th.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}
.grade{display:inline-block;min-width:44px;text-align:center;border-radius:5px;font-size:12px;font-weight:600;
padding:1px 7px}.grade.ok{background:var(--okbg);color:var(--ok)}.grade.warn{background:var(--warnbg);
color:var(--warn)}.grade.fail{background:var(--failbg);color:var(--fail)}
details summary{cursor:pointer;color:var(--accent)}.why{color:var(--soft);font-size:13px}
@media(max-width:560px){.maps{grid-template-columns:1fr}.stage canvas{height:340px}}
"""

SCRIPT = """
"use strict";
const data=JSON.parse(document.getElementById("data").textContent);
const css=name=>getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function fit(canvas){const r=devicePixelRatio||1,w=canvas.clientWidth,h=canvas.clientHeight;
 canvas.width=Math.round(w*r);canvas.height=Math.round(h*r);const g=canvas.getContext("2d");
 g.setTransform(r,0,0,r,0,0);g.clearRect(0,0,w,h);return[g,w,h]}

// --- The rig, turned with the mouse ---
const stage=document.getElementById("rig");
const start={yaw:-0.9,pitch:0.5,zoom:1};let view={...start};
const points=[].concat(...data.boards.map(b=>b.corners),data.cameras.map(c=>c.center));
const low=[0,1,2].map(i=>Math.min(...points.map(p=>p[i])));
const high=[0,1,2].map(i=>Math.max(...points.map(p=>p[i])));
const middle=[0,1,2].map(i=>(low[i]+high[i])/2);
const reach=Math.max(...points.map(p=>Math.hypot(...p.map((v,i)=>v-middle[i]))))*1.1;
const add=(a,b,k=1)=>a.map((v,i)=>v+k*b[i]);
function draw(){
 const[g,w,h]=fit(stage),cy=Math.cos(view.yaw),sy=Math.sin(view.yaw),cp=Math.cos(view.pitch),
 sp=Math.sin(view.pitch),away=3.2*reach,scale=1.9*Math.min(w,h*1.25)*view.zoom;
 const at=p=>{const q=add(p,middle,-1),x=cy*q[0]+sy*q[1],y=-sy*q[0]+cy*q[1],z=q[2],
  d=away+cp*y-sp*z;return d<0.05*reach?null:[w/2+scale*x/d,h/2-scale*(sp*y+cp*z)/d,d]};
 const line=(list,closed)=>{const s=list.map(at);if(s.some(v=>!v))return false;g.beginPath();
  s.forEach((v,i)=>i?g.lineTo(v[0],v[1]):g.moveTo(v[0],v[1]));if(closed)g.closePath();return true};
 grid(g,line);
 const items=[];
 data.boards.forEach((b,i)=>items.push([at(add(b.corners[0],b.corners[2]).map(v=>v/2)),()=>board(g,line,b,i)]));
 data.cameras.forEach(c=>items.push([at(c.center),()=>camera(g,line,at,c)]));
 items.filter(v=>v[0]).sort((a,b)=>b[0][2]-a[0][2]).forEach(v=>v[1]());
 axes(g,line,at)}
function grid(g,line){
 const step=reach>6?1:reach>2?0.5:0.25;g.strokeStyle=css("--line");g.lineWidth=1;
 const a=[0,1].map(i=>Math.floor((low[i]-step/2)/step)*step);
 const b=[0,1].map(i=>Math.ceil((high[i]+step/2)/step)*step);
 for(let x=a[0];x<=b[0]+1e-6;x+=step)if(line([[x,a[1],0],[x,b[1],0]]))g.stroke();
 for(let y=a[1];y<=b[1]+1e-6;y+=step)if(line([[a[0],y,0],[b[0],y,0]]))g.stroke();
 document.getElementById("step").textContent=step}
function board(g,line,b,i){
 const t=data.boards.length>1?i/(data.boards.length-1):0,c=`hsl(${(265-215*t).toFixed(0)} 70% 50%)`;
 if(!line(b.corners,true))return;g.globalAlpha=0.16;g.fillStyle=c;g.fill();g.globalAlpha=0.75;
 g.strokeStyle=c;g.lineWidth=1;g.stroke();g.globalAlpha=1}
function camera(g,line,at,c){
 const depth=0.13*reach,ends=c.corners.map(d=>add(c.center,d,depth));
 g.strokeStyle=g.fillStyle=c.color;g.lineWidth=1.6;
 if(line(ends,true)){g.globalAlpha=0.15;g.fill();g.globalAlpha=1;g.stroke()}
 ends.forEach(e=>{if(line([c.center,e]))g.stroke()});
 const top=add(ends[0],ends[1]).map(v=>v/2),tip=add(top,add(top,add(ends[2],ends[3]).map(v=>v/2),-1),0.25);
 if(line([ends[0],tip,ends[1]]))g.stroke();
 g.lineWidth=1;[[0,1],[0,2],[1,2]].forEach(([i,j])=>{const ring=[];
  for(let k=0;k<=32;k++){const f=k*Math.PI/16;
   ring.push(add(add(c.center,c.axes[i],Math.cos(f)),c.axes[j],Math.sin(f)))}
  if(line(ring,true)){g.globalAlpha=0.12;g.fill();g.globalAlpha=0.8;g.stroke();g.globalAlpha=1}});
 const p=at(c.center);if(p){g.font="600 13px system-ui,sans-serif";g.fillStyle=css("--card");
  const n=g.measureText(c.name).width;g.globalAlpha=0.8;g.fillRect(p[0]+8,p[1]-23,n+8,18);g.globalAlpha=1;
  g.fillStyle=c.color;g.fillText(c.name,p[0]+12,p[1]-9)}}
function axes(g,line,at){
 const l=0.22*reach;[["x",[l,0,0],"#d33"],["y",[0,l,0],"#2a2"],["z",[0,0,l],"#36c"]].forEach(([n,v,c])=>{
  if(line([[0,0,0],v])){g.strokeStyle=g.fillStyle=c;g.lineWidth=2;g.stroke();const p=at(v);
   g.font="600 12px system-ui,sans-serif";if(p)g.fillText(n,p[0]+3,p[1]-3)}})}
let held=null;
stage.addEventListener("pointerdown",e=>{held=[e.clientX,e.clientY];stage.setPointerCapture(e.pointerId);
 stage.style.cursor="grabbing"});
stage.addEventListener("pointermove",e=>{if(!held)return;view.yaw-=(e.clientX-held[0])*0.008;
 view.pitch=Math.max(-1.57,Math.min(1.57,view.pitch+(e.clientY-held[1])*0.008));held=[e.clientX,e.clientY];draw()});
stage.addEventListener("pointerup",()=>{held=null;stage.style.cursor="grab"});
stage.addEventListener("wheel",e=>{e.preventDefault();
 view.zoom=Math.max(0.3,Math.min(8,view.zoom*Math.exp(-e.deltaY*0.0012)));draw()},{passive:false});
const turn=v=>()=>{view={...view,...v};draw()};
document.getElementById("above").onclick=turn({pitch:1.57,yaw:0});
document.getElementById("side").onclick=turn({pitch:0,yaw:0});
document.getElementById("reset").onclick=turn(start);

// --- Errors over each image ---
function map(canvas,c){
 canvas.style.height=canvas.clientWidth*c.height/c.width+"px";
 const[g,w,h]=fit(canvas),k=w/c.width,[nx,ny]=c.grid,most=Math.max(1,...c.cells.flat());
 g.fillStyle=css("--card");g.fillRect(0,0,w,h);
 c.cells.forEach((row,y)=>row.forEach((n,x)=>{if(!n)return;
  g.fillStyle=`rgba(${css("--shade")},${(0.06+0.3*Math.sqrt(n/most)).toFixed(3)})`;
  g.fillRect(x*w/nx,y*h/ny,w/nx+0.5,h/ny+0.5)}));
 g.lineWidth=1;
 for(const[x,y,dx,dy,used]of c.arrows){
  const n=Math.hypot(dx,dy),part=Math.min(1,0.16*c.width/(n*c.exaggeration+1e-9)),
  f=k*c.exaggeration*part,ax=(x+0.5)*k,ay=(y+0.5)*k,bx=ax+f*dx,by=ay+f*dy;
  g.strokeStyle=g.fillStyle=used?css("--ink"):css("--fail");g.globalAlpha=used?0.75:0.9;
  g.beginPath();g.moveTo(ax,ay);g.lineTo(bx,by);g.stroke();
  g.beginPath();g.arc(ax,ay,1.3,0,7);g.fill()}
 g.globalAlpha=1}
function all(){draw();document.querySelectorAll("canvas[data-camera]").forEach(c=>
 map(c,data.cameras[Number(c.dataset.camera)]))}
addEventListener("resize",all);
matchMedia("(prefers-color-scheme:dark)").addEventListener("change",all);
all();
"""

// A MediaSoup router for tests, driven by JSON lines on standard input; each is answered by one on
// standard output. Only its WebRTC and RTP sockets are open, on loopback.
import { createInterface } from 'node:readline';
import * as mediasoup from 'mediasoup';

const h264 = (profile) => ({
  kind: 'video',
  mimeType: 'video/H264',
  clockRate: 90000,
  parameters: { 'packetization-mode': 1, 'profile-level-id': profile, 'level-asymmetry-allowed': 1 },
});

const worker = await mediasoup.createWorker({ logLevel: 'warn' });
worker.on('died', () => process.exit(1));
// Every router has Constrained Baseline; the others are profiles that cameras send.
const router = await worker.createRouter({ mediaCodecs: ['42e01f', '4d001f', '64001f'].map(h264) });
const listen = { protocol: 'udp', ip: '127.0.0.1' };
const transports = new Map();
const producers = new Map();
const consumers = new Map();
const traces = new Map();

const verbs = {
  capabilities: () => router.rtpCapabilities,

  async plain({ rtcpMux = true, comedia = true, port }) {
    const transport = await router.createPlainTransport({
      listenInfo: { ...listen, port }, rtcpMux, comedia,
    });
    transports.set(transport.id, transport);
    return { id: transport.id, rtp: transport.tuple.localPort, rtcp: transport.rtcpTuple?.localPort };
  },

  async produce({ transport, parameters }) {
    const producer = await transports.get(transport).produce(parameters);
    producers.set(producer.id, producer);
    const seen = [];
    traces.set(producer.id, seen);
    // For packets, the RTP time stamp.
    producer.on('trace', ({ type, info }) => seen.push({ type, rtp: info?.rtpPacket?.timestamp }));
    await producer.enableTraceEvent(['rtp', 'keyframe', 'pli', 'fir']);
    return { id: producer.id, type: producer.type };
  },

  async webrtc() {
    const transport = await router.createWebRtcTransport({ listenInfos: [listen], enableUdp: true });
    transports.set(transport.id, transport);
    const { id, iceParameters, iceCandidates, dtlsParameters } = transport;
    return { id, iceParameters, iceCandidates, dtlsParameters };
  },

  connect: ({ transport, to }) => transports.get(transport).connect(to),

  async consume({ transport, producer, rtpCapabilities }) {
    const consumer = await transports.get(transport).consume({
      producerId: producer, rtpCapabilities, paused: true,
    });
    consumers.set(consumer.id, consumer);
    const { id, kind, rtpParameters } = consumer;
    return { id, producerId: producer, kind, rtpParameters };
  },

  resume: ({ consumer }) => consumers.get(consumer).resume(),

  keyFrame: ({ consumer }) => consumers.get(consumer).requestKeyFrame(),

  // Received packets, marked if of a key frame, and sent requests for one, in order.
  traces: ({ producer }) => traces.get(producer),

  async stats({ producer }) {
    return (await producers.get(producer).getStats())[0];
  },

  close: ({ transport }) => {
    transports.get(transport).close();
    transports.delete(transport);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { n, verb, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => verbs[verb](rest))
    .then((result) => ({ n, result: result ?? null }), (error) => ({ n, error: String(error) }))
    .then((answer) => console.log(JSON.stringify(answer)));
}
worker.close();

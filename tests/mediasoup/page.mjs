// A viewer in a browser's page: mediasoup-client, and a picture element that plays what it gets.
import { Device } from 'mediasoup-client';

const device = new Device();
let transport;
let consumer;
let connected;
let shown = 0;

window.viewer = {
  // What this browser takes of what the router has.
  async load(routerRtpCapabilities) {
    await device.load({ routerRtpCapabilities });
    return device.rtpCapabilities;
  },

  // Begins to receive; what the router's side of the transport is to be connected with.
  receive(offered, consumed) {
    transport = device.createRecvTransport(offered);
    return new Promise((resolve, reject) => {
      transport.on('connect', ({ dtlsParameters }, done) => {
        connected = done;
        resolve({ dtlsParameters });
      });
      window.consuming = transport.consume(consumed);
      window.consuming.catch(reject);
    });
  },

  // The router's side is connected.
  async play() {
    connected();
    consumer = await window.consuming;
    const video = document.createElement('video');
    Object.assign(video, { muted: true, srcObject: new MediaStream([consumer.track]) });
    document.body.append(video);
    const count = () => {
      shown += 1;
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
    video.play();
  },

  // What the browser says of the stream, and how many pictures were put on the page.
  async stats() {
    const stats = [...(await consumer.getStats()).values()];
    return { ...stats.find((it) => it.type === 'inbound-rtp'), shown };
  },
};

// A viewer in a browser's page: mediasoup-client, and a video element that plays the stream.
import { Device } from 'mediasoup-client';

const device = new Device();
let transport;
let consumer;
let connected;
let shown = 0;

window.viewer = {
  // The router's capabilities that this browser supports.
  async load(routerRtpCapabilities) {
    await device.load({ routerRtpCapabilities });
    return device.rtpCapabilities;
  },

  // Starts to receive; returns the parameters for connecting the router's side of the transport.
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

  // The browser's statistics of the stream, and the number of displayed pictures.
  async stats() {
    const stats = [...(await consumer.getStats()).values()];
    return { ...stats.find((it) => it.type === 'inbound-rtp'), shown };
  },
};

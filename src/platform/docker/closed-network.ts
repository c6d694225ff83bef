/**
 * Names outside of the network stay unknown, also with engines that would ask for them on their own: nobody answers there, in the container
 * itself. Docker 20.10 says so only when whoever asks has given up, so that is soon.
 */
export const noNameServer = { addresses: ['127.0.0.1'], options: ['timeout:1', 'attempts:1'] };

/**
 * A network without a way out, to no other network and not to this host: it has no address there, so that nothing that the host listens on can
 * be reached.
 */
export const closedNetwork = { Internal: true, Options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } } as const;

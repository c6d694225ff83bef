/** Headers in which proxies pass a client certificate on: RFC 9440's own; those of nginx, ingress-nginx, Apache, HAProxy; Traefik's. */
export const certificateHeaders = ['client-cert', 'x-ssl-client-cert', 'ssl-client-cert', 'x-forwarded-tls-client-cert'] as const;
export type CertificateHeader = (typeof certificateHeaders)[number];

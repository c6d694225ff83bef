import protobuf from 'protobufjs/minimal.js';
import type { SpanAttributes, TraceContext, TraceSpan } from '../../domain/trace.ts';

/*
 * ExportTraceServiceRequest of OTLP 1, as protobuf, which every receiver of OTLP takes: https://opentelemetry.io/docs/specs/otlp/. The numbers are
 * those of the fields in its definition. Why not by the packages of OpenTelemetry: docs/decisions/0072-traces-by-interceptors.md.
 */

type Fields = (writer: protobuf.Writer) => void;

const scope = 'landfall';
const kinds = { internal: 1, server: 2, producer: 4 } as const;
const statusError = 2;
/** The link is of another process; and that this is known. */
const remoteFlags = 0x300;

/** @param resource what is said of this process */
export function encodeSpans(spans: readonly TraceSpan[], resource: SpanAttributes): Uint8Array {
  const writer = protobuf.Writer.create();
  message(writer, 1, (ofResource) => {
    message(ofResource, 1, (each) => attributes(each, 1, resource));
    message(ofResource, 2, (ofScope) => {
      message(ofScope, 1, (each) => text(each, 1, scope));
      for (const span of spans) message(ofScope, 2, (each) => encodeSpan(each, span));
    });
  });
  return writer.finish();
}

function encodeSpan(writer: protobuf.Writer, span: TraceSpan): void {
  const { context, parentId, links = [], error } = span;
  bytes(writer, 1, context.traceId);
  bytes(writer, 2, context.spanId);
  if (parentId !== undefined) bytes(writer, 4, parentId);
  text(writer, 5, span.name);
  writer.uint32(tag(6, 0)).uint32(kinds[span.kind]);
  nanoseconds(writer, 7, span.startMs);
  // The clocks of two machines may differ.
  nanoseconds(writer, 8, Math.max(span.startMs, span.endMs));
  attributes(writer, 9, span.attributes);
  for (const link of links) message(writer, 13, (each) => encodeLink(each, link));
  if (error !== undefined) {
    message(writer, 15, (each) => {
      if (error.message !== undefined) text(each, 2, error.message);
      each.uint32(tag(3, 0)).uint32(statusError);
    });
  }
  writer.uint32(tag(16, 5)).fixed32(1);
}

function encodeLink(writer: protobuf.Writer, { traceId, spanId, sampled }: TraceContext): void {
  bytes(writer, 1, traceId);
  bytes(writer, 2, spanId);
  writer.uint32(tag(6, 5)).fixed32(remoteFlags | (sampled ? 1 : 0));
}

function attributes(writer: protobuf.Writer, field: number, all: SpanAttributes): void {
  for (const [key, value] of Object.entries(all)) {
    message(writer, field, (pair) => {
      text(pair, 1, key);
      message(pair, 2, (any) => {
        if (typeof value === 'string') text(any, 1, value);
        else any.uint32(tag(3, 0)).int64(Math.round(value));
      });
    });
  }
}

function message(writer: protobuf.Writer, field: number, fields: Fields): void {
  writer.uint32(tag(field, 2)).fork();
  fields(writer);
  writer.ldelim();
}

function text(writer: protobuf.Writer, field: number, value: string): void {
  writer.uint32(tag(field, 2)).string(value);
}

function bytes(writer: protobuf.Writer, field: number, hexadecimal: string): void {
  writer.uint32(tag(field, 2)).bytes(Buffer.from(hexadecimal, 'hex'));
}

function nanoseconds(writer: protobuf.Writer, field: number, milliseconds: number): void {
  writer.uint32(tag(field, 1)).fixed64(milliseconds * 1e6);
}

/** @param type how the value is written: 0 as a varint, 1 in 8 bytes, 2 with its length, 5 in 4 bytes */
function tag(field: number, type: 0 | 1 | 2 | 5): number {
  return (field << 3) | type;
}

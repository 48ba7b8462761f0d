import { metrics } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';

export interface Telemetry {
  /** The metrics in Prometheus' text format. */
  scrape(): Promise<string>;
  shutdown(): Promise<void>;
}

/**
 * Starts metrics always, traces where OTEL_TRACES_EXPORTER says so: `otlp` (OTLP/HTTP to OTEL_EXPORTER_OTLP_ENDPOINT,
 * by default http://localhost:4318), `jaeger` (the deprecated thrift collector, OTEL_EXPORTER_JAEGER_ENDPOINT) or `none`.
 * The SDK's trace half is loaded only when it is wanted: it would be a tenth of an idle service's memory.
 */
export async function startTelemetry(service: string): Promise<Telemetry> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ resource: resourceOf(service), readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  observeProcess();
  const serializer = new PrometheusSerializer();
  const traces = await startTraces(service);
  return {
    async scrape() {
      const { resourceMetrics } = await exporter.collect();
      return serializer.serialize(resourceMetrics);
    },
    async shutdown() {
      await traces?.shutdown();
      await provider.shutdown();
    },
  };
}

/** Under the names that Prometheus' own client libraries use. */
function observeProcess(): void {
  const meter = metrics.getMeter('process');
  meter
    .createObservableGauge('process_resident_memory_bytes', { description: 'Resident memory of the process' })
    .addCallback((result) => result.observe(process.memoryUsage.rss()));
  meter
    .createObservableCounter('process_cpu_seconds', { description: 'CPU time of the process, user and system' })
    .addCallback((result) => {
      const { user, system } = process.cpuUsage();
      result.observe((user + system) / 1e6);
    });
}

async function startTraces(service: string): Promise<{ shutdown(): Promise<void> } | null> {
  const wanted = process.env['OTEL_TRACES_EXPORTER'] ?? (process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] ? 'otlp' : 'none');
  if (wanted === 'none') return null;
  const [{ NodeTracerProvider }, { BatchSpanProcessor }] = await Promise.all([
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/sdk-trace-base'),
  ]);
  const exporter = await spanExporter(wanted);
  const provider = new NodeTracerProvider({
    resource: resourceOf(service),
    spanProcessors: [
      new BatchSpanProcessor(exporter, { maxQueueSize: 8_192, maxExportBatchSize: 512, scheduledDelayMillis: 1_000 }),
    ],
  });
  provider.register(); // Also installs W3C propagation and the async context.
  return provider;
}

const resourceOf = (service: string) => resourceFromAttributes({ 'service.name': `reef-${service}` });

async function spanExporter(wanted: string): Promise<SpanExporter> {
  if (wanted === 'otlp') return new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter();
  if (wanted === 'jaeger') return new (await import('@opentelemetry/exporter-jaeger')).JaegerExporter();
  throw new Error(`OTEL_TRACES_EXPORTER must be otlp, jaeger or none, not ${wanted}`);
}

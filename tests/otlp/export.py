"""Sends what an instrumented service sends, with OpenTelemetry's own SDK.

Called with a host's URL. Prints the trace's id and what became of each request; ends with 1
if the host did not take one of them.
"""

import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode


def main(host):
    resource = Resource.create({"service.name": "shop", "deployment.environment.name": "test"})
    spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    logging = LoggerProvider(resource=resource)
    logging.add_log_record_processor(SimpleLogRecordProcessor(logs))

    tracer = tracing.get_tracer("shop.assistant", "1.2.3")
    with tracer.start_as_current_span("invoke_agent helper", kind=SpanKind.SERVER) as agent:
        agent.set_attribute("gen_ai.operation.name", "invoke_agent")
        agent.set_attribute("gen_ai.agent.name", "helper")
        with tracer.start_as_current_span("chat gpt", kind=SpanKind.CLIENT) as chat:
            chat.set_attribute("gen_ai.operation.name", "chat")
            chat.set_attribute("gen_ai.request.model", "gpt")
            chat.set_attribute("gen_ai.usage.input_tokens", 7)
            chat.set_attribute("gen_ai.response.finish_reasons", ["stop"])
            chat.add_event("first token", {"index": 0})
            logging.get_logger("shop.assistant").emit(
                LogRecord(body={"order": 7, "paid": True}, severity_number=SeverityNumber.WARN)
            )
        with tracer.start_as_current_span("execute_tool pay") as tool:
            tool.set_attribute("gen_ai.operation.name", "execute_tool")
            tool.set_attribute("gen_ai.tool.name", "pay")
            tool.set_status(Status(StatusCode.ERROR, "card declined"))
        trace_id = format(agent.get_span_context().trace_id, "032x")

    results = []
    for compression in (Compression.NoCompression, Compression.Gzip):
        # Twice, as it is and packed.
        to = OTLPSpanExporter(endpoint=f"{host}/v1/traces", compression=compression, timeout=10)
        results.append(to.export(spans.get_finished_spans()).name)
        to = OTLPLogExporter(endpoint=f"{host}/v1/logs", compression=compression, timeout=10)
        results.append(to.export(logs.get_finished_logs()).name)
    print(trace_id, *results)
    return 0 if results == ["SUCCESS"] * 4 else 1


sys.exit(main(sys.argv[1].rstrip("/")))

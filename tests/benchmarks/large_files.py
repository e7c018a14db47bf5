"""Files of any size in each format, in the shape of those that grow large: many hosts with a few routes each.

One file, because a format is a text and a row of one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NGINX: Final = """    # tenant {n}, by the portal
    server {{
        listen 443 ssl http2;
        server_name h{n}.example.com;
        ssl_certificate /etc/ssl/h{n}.pem;
        ssl_certificate_key /etc/ssl/h{n}.key;
        access_log /var/log/nginx/h{n}.log main;
        client_max_body_size 25m;
        location /v1/images/ {{
            proxy_pass http://images-{n}.internal:8000;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout {s}s;
            proxy_buffering off;
        }}
        location / {{
            proxy_pass http://app-{n}.internal:3000;
        }}
    }}
"""
HAPROXY: Final = """
backend images_{n}
    # tenant {n}, by the portal
    balance leastconn
    option httpchk GET /health
    http-request set-header X-Forwarded-Proto https
    timeout server {s}s
    timeout connect 5s
    retries 2
    server images-{n}-a 10.0.0.1:8000 check inter 5s maxconn 200
    server images-{n}-b 10.0.0.2:8000 check inter 5s maxconn 200 backup
"""
ENVOY_YAML: Final = """            - name: h{n}
              domains: [h{n}.example.com]
              routes:
              - match: {{ prefix: /v1/images }}
                route:
                  cluster: images
                  timeout: {s}s
                  idle_timeout: 90s
                  retry_policy: {{ retry_on: "connect-failure,refused-stream", num_retries: 1 }}
              - match: {{ prefix: / }}
                route: {{ cluster: images, timeout: 15s }}
"""
ENVOY_BEFORE: Final = """static_resources:
  clusters:
  - name: images
    connect_timeout: 2s
    load_assignment: { cluster_name: images }
  listeners:
  - name: callers
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          stat_prefix: callers
          route_config:
            virtual_hosts:
"""
ENVOY_JSON: Final = """      {{
       "name": "h{n}",
       "domains": [
        "h{n}.example.com"
       ],
       "routes": [
        {{
         "match": {{
          "prefix": "/v1/images"
         }},
         "route": {{
          "cluster": "images",
          "timeout": "{s}s",
          "idle_timeout": "90s",
          "retry_policy": {{
           "retry_on": "connect-failure,refused-stream",
           "num_retries": 1
          }}
         }}
        }},
        {{
         "match": {{
          "prefix": "/"
         }},
         "route": {{
          "cluster": "images",
          "timeout": "15s"
         }}
        }}
       ]
      }}"""
ENVOY_JSON_BEFORE: Final = """{"configs": [{
 "static_resources": {
  "clusters": [{"name": "images", "connect_timeout": "2s", "load_assignment": {"cluster_name": "images"}}],
  "listeners": [{"name": "callers", "filter_chains": [{"filters": [{
   "name": "envoy.filters.network.http_connection_manager",
   "typed_config": {
    "stat_prefix": "callers",
    "route_config": {
     "virtual_hosts": [
"""
CADDYFILE: Final = """
# tenant {n}, by the portal
h{n}.example.com {{
	encode zstd gzip
	log {{
		output file /var/log/caddy/h{n}.log
	}}
	handle /v1/images/* {{
		reverse_proxy images-{n}.internal:8000 {{
			flush_interval -1
			transport http {{
				dial_timeout 5s
				response_header_timeout {s}s
			}}
		}}
	}}
	handle {{
		reverse_proxy app-{n}.internal:3000
	}}
}}
"""
CADDY_JSON: Final = """     {{
      "match": [{{"host": ["h{n}.example.com"]}}],
      "handle": [
       {{
        "handler": "subroute",
        "routes": [
         {{
          "match": [{{"path": ["/v1/images/*"]}}],
          "handle": [
           {{
            "handler": "reverse_proxy",
            "transport": {{"protocol": "http", "response_header_timeout": {s}000000000}},
            "upstreams": [{{"dial": "images-{n}.internal:8000"}}]
           }}
          ]
         }}
        ]
       }}
      ],
      "terminal": true
     }}"""
TRAEFIK_YAML: Final = """    r{n}:
      rule: Host(`h{n}.example.com`) && PathPrefix(`/v1/images`)
      entryPoints: [websecure]
      service: images
      middlewares: [headers, ratelimit]
      tls: {{ certResolver: le }}
"""
TRAEFIK_TOML: Final = """
[http.routers.r{n}]
  rule = "Host(`h{n}.example.com`) && PathPrefix(`/v1/images`)"
  entryPoints = ["websecure"]
  service = "images"
  middlewares = ["headers", "ratelimit"]
  [http.routers.r{n}.tls]
    certResolver = "le"
"""
TRAEFIK_LABELS: Final = """  images-{n}:
    image: registry.example.com/images:1.4
    restart: unless-stopped
    labels:
      - traefik.enable=true
      - traefik.http.routers.r{n}.rule=Host(`h{n}.example.com`)
      - traefik.http.routers.r{n}.entrypoints=websecure
      - traefik.http.routers.r{n}.service=s{n}
      - traefik.http.services.s{n}.loadbalancer.server.port=8000
"""
APACHE: Final = """
# tenant {n}, by the portal
<VirtualHost *:443>
    ServerName h{n}.example.com
    SSLEngine on
    SSLCertificateFile /etc/ssl/h{n}.pem
    ErrorLog /var/log/apache2/h{n}.log
    CustomLog /var/log/apache2/h{n}-access.log combined
    ProxyPreserveHost On
    ProxyTimeout {s}
    ProxyPass /v1/images http://images-{n}.internal:8000/v1/images
    ProxyPassReverse /v1/images http://images-{n}.internal:8000/v1/images
    ProxyPass / http://app-{n}.internal:3000/
</VirtualHost>
"""
VARNISH: Final = """
# tenant {n}, by the portal
backend images_{n} {{
    .host = "images-{n}.internal";
    .port = "8000";
    .connect_timeout = 5s;
    .first_byte_timeout = {s}s;
    .between_bytes_timeout = 90s;
    .probe = {{ .url = "/health"; .interval = 5s; .timeout = 2s; .window = 5; .threshold = 3; }}
}}
"""
INGRESS: Final = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: images-{n}
  namespace: tenant-{n}
  labels:
    app.kubernetes.io/name: images
    app.kubernetes.io/managed-by: Helm
  annotations:
    cert-manager.io/cluster-issuer: letsencrypt
    nginx.ingress.kubernetes.io/proxy-read-timeout: "{s}"
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
spec:
  ingressClassName: nginx
  tls:
  - hosts: [h{n}.example.com]
    secretName: h{n}-tls
  rules:
  - host: h{n}.example.com
    http:
      paths:
      - path: /v1/images
        pathType: Prefix
        backend: {{ service: {{ name: images, port: {{ number: 80 }} }} }}
---
"""
INGRESS_JSON: Final = """  {{
   "apiVersion": "networking.k8s.io/v1",
   "kind": "Ingress",
   "metadata": {{
    "annotations": {{
     "nginx.ingress.kubernetes.io/proxy-read-timeout": "{s}"
    }},
    "name": "images-{n}",
    "namespace": "tenant-{n}"
   }},
   "spec": {{
    "ingressClassName": "nginx",
    "rules": [
     {{
      "host": "h{n}.example.com",
      "http": {{
       "paths": [
        {{
         "backend": {{"service": {{"name": "images", "port": {{"number": 80}}}}}},
         "path": "/v1/images",
         "pathType": "Prefix"
        }}
       ]
      }}
     }}
    ]
   }}
  }}"""
KONG: Final = """  - name: images-{n}
    url: http://images-{n}.internal:8000
    connect_timeout: 5000
    read_timeout: {s}000
    write_timeout: 60000
    retries: 1
    tags: [tenant, portal]
    routes:
      - name: images-{n}
        hosts: [h{n}.example.com]
        paths: [/v1/images]
        strip_path: false
"""
VERCEL: Final = """    "api/tenant{n}/images.ts": {{
      "maxDuration": {s},
      "memory": 1024,
      "includeFiles": "templates/tenant{n}/**"
    }}"""
NETLIFY: Final = """
[[redirects]]
  from = "/tenant{n}/*"
  to = "https://images-{n}.example.com/:splat"
  status = 200
  force = true
  headers = {{X-From = "Netlify"}}
"""
COMPOSE: Final = """  worker-{n}:
    image: registry.example.com/worker:2.1
    restart: unless-stopped
    environment:
      QUEUE: tenant-{n}
      LOG_LEVEL: info
      DATABASE_URL: postgres://worker@db/tenant_{n}
    deploy:
      resources: {{ limits: {{ memory: 512M }} }}
"""
SERVERLESS: Final = """  images{n}:
    handler: src/images.handler
    timeout: 29
    memorySize: 1024
    environment: {{ TENANT: "{n}" }}
    events:
      - httpApi: POST /tenant{n}/images
"""
SAM: Final = """  Images{n}:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: images.handler
      Timeout: 29
      MemorySize: 1024
      Environment: {{ Variables: {{ TENANT: "{n}" }} }}
      Events:
        Post: {{ Type: HttpApi, Properties: {{ Path: /tenant{n}/images, Method: post }} }}
"""
SAM_JSON: Final = """  "Images{n}": {{
   "Type": "AWS::Serverless::Function",
   "Properties": {{
    "CodeUri": "src/",
    "Handler": "images.handler",
    "Timeout": 29,
    "MemorySize": 1024,
    "Events": {{
     "Post": {{"Type": "HttpApi", "Properties": {{"Path": "/tenant{n}/images", "Method": "post"}}}}
    }}
   }}
  }}"""
TERRAFORM: Final = """    {{
     "address": "aws_security_group_rule.tenant[{n}]",
     "mode": "managed",
     "type": "aws_security_group_rule",
     "name": "tenant",
     "index": {n},
     "schema_version": 2,
     "values": {{
      "cidr_blocks": ["10.0.0.0/16"],
      "description": "tenant {n}",
      "from_port": 8000,
      "protocol": "tcp",
      "security_group_id": "sg-0123456789abcdef0",
      "to_port": 8000,
      "type": "ingress"
     }},
     "sensitive_values": {{"cidr_blocks": [false]}}
    }}"""
LITELLM: Final = """  - model_name: chat-{n}
    litellm_params:
      model: openai/gpt-4o
      api_base: https://region-{n}.example.com/v1
      api_key: os.environ/KEY_{n}
      timeout: 30
      rpm: 600
    model_info:
      mode: chat
      id: deployment-{n}
"""


def _host(number: int) -> str:
    return f"h{number}.example.com"


def _images(_: int) -> str:
    return "/v1/images/generations"


def _tenant(number: int) -> str:
    return f"/tenant{number}/images"


def _one_host(_: int) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Large:
    """A file of many entries: its format and name, what is before, between and behind them, and the request."""

    name: str
    format: str
    file: str
    peer: str
    entry: str
    before: str = ""
    between: str = ""
    after: str = ""
    host: Callable[[int], str | None] = _host
    path: Callable[[int], str | None] = _images

    def text(self, size: int) -> tuple[str, int]:
        """A text of at least so many bytes, and how many entries it has."""
        count = size // (len(self.entry.format(n=10_000, s=300)) + len(self.between)) + 1
        entries = self.between.join(self.entry.format(n=n, s=60 + n % 500) for n in range(count))
        return f"{self.before}{entries}{self.after}", count


_ALL: Final = (
    Large(
        name="nginx",
        format="nginx",
        file="nginx.conf",
        peer="crossplane",
        before="http {\n",
        entry=NGINX,
        after="}\n",
    ),
    Large(
        name="haproxy",
        format="haproxy",
        file="haproxy.cfg",
        peer="words",
        before="frontend all\n    mode http\n    bind :443\n"
        "    use_backend %[req.hdr(host),map(/etc/map,images_9)]\n"
        "    default_backend images_9\n",
        entry=HAPROXY,
        host=_one_host,
    ),
    Large(
        name="envoy", format="envoy", file="envoy.yaml", peer="yaml", before=ENVOY_BEFORE, entry=ENVOY_YAML
    ),
    Large(
        name="envoy-json",
        format="envoy",
        file="envoy.json",
        peer="json",
        before=ENVOY_JSON_BEFORE,
        entry=ENVOY_JSON,
        between=",\n",
        after="\n]}}}]}]}]}}]}\n",
    ),
    Large(name="caddy", format="caddy", file="Caddyfile", peer="words", entry=CADDYFILE),
    Large(
        name="caddy-json",
        format="caddy",
        file="caddy.json",
        peer="json",
        before='{"apps": {"http": {"servers": {"srv0": {\n "listen": [":443"],\n "routes": [\n',
        entry=CADDY_JSON,
        between=",\n",
        after="\n]}}}}}\n",
    ),
    Large(
        name="traefik",
        format="traefik",
        file="dynamic.yml",
        peer="yaml",
        before="http:\n  services:\n    images: { loadBalancer: { servers: [{ url: 'http://i' }] } }\n  routers:\n",
        entry=TRAEFIK_YAML,
    ),
    Large(
        name="traefik-toml",
        format="traefik",
        file="dynamic.toml",
        peer="tomllib",
        before="[http.services.images.loadBalancer]\n  [[http.services.images.loadBalancer.servers]]\n"
        "    url = 'http://i'\n",
        entry=TRAEFIK_TOML,
    ),
    Large(
        name="traefik-labels",
        format="traefik",
        file="docker-compose.yml",
        peer="yaml",
        before="services:\n",
        entry=TRAEFIK_LABELS,
    ),
    Large(name="apache", format="apache", file="sites.conf", peer="words", entry=APACHE),
    Large(
        name="varnish",
        format="varnish",
        file="default.vcl",
        peer="words",
        before="vcl 4.1;\n",
        entry=VARNISH,
        after="sub vcl_recv { set req.backend_hint = images_9; }\n",
        host=_one_host,
    ),
    Large(name="kubernetes", format="kubernetes", file="ingress.yaml", peer="yaml", entry=INGRESS),
    Large(
        name="kubernetes-json",
        format="kubernetes",
        file="ingress.json",
        peer="json",
        before='{"apiVersion": "v1", "kind": "List", "items": [\n',
        entry=INGRESS_JSON,
        between=",\n",
        after="\n]}\n",
    ),
    Large(
        name="kong",
        format="kong",
        file="kong.yml",
        peer="yaml",
        before='_format_version: "3.0"\nservices:\n',
        entry=KONG,
    ),
    Large(
        name="vercel",
        format="vercel",
        file="vercel.json",
        peer="json",
        before='{\n  "functions": {\n',
        entry=VERCEL,
        between=",\n",
        after="\n  }\n}\n",
        host=_one_host,
        path=lambda number: f"/api/tenant{number}/images",
    ),
    Large(
        name="netlify",
        format="netlify",
        file="netlify.toml",
        peer="tomllib",
        entry=NETLIFY,
        host=_one_host,
        path=_tenant,
    ),
    Large(
        name="compose",
        format="compose",
        file="docker-compose.yml",
        peer="yaml",
        before="services:\n  new-api:\n    image: calciumion/new-api:latest\n"
        "    environment: { RELAY_TIMEOUT: 600 }\n",
        entry=COMPOSE,
        host=_one_host,
    ),
    Large(
        name="serverless",
        format="serverless",
        file="serverless.yml",
        peer="yaml",
        before="service: images\nprovider: { name: aws }\nfunctions:\n",
        entry=SERVERLESS,
        host=_one_host,
        path=_tenant,
    ),
    Large(
        name="cloudformation",
        format="cloudformation",
        file="template.yaml",
        peer="yaml",
        before="Transform: AWS::Serverless-2016-10-31\nResources:\n",
        entry=SAM,
        host=_one_host,
        path=_tenant,
    ),
    Large(
        name="cloudformation-json",
        format="cloudformation",
        file="template.json",
        peer="json",
        before='{"Transform": "AWS::Serverless-2016-10-31", "Resources": {\n',
        entry=SAM_JSON,
        between=",\n",
        after="\n}}\n",
        host=_one_host,
        path=_tenant,
    ),
    Large(
        name="terraform",
        format="terraform",
        file="plan.json",
        peer="json",
        before='{"format_version": "1.2", "planned_values": {"root_module": {"resources": [\n'
        '{"address": "aws_lb.web", "type": "aws_lb", "name": "web", "values": {"idle_timeout": 300}},\n',
        entry=TERRAFORM,
        between=",\n",
        after="\n]}}}\n",
        host=_one_host,
    ),
    Large(
        name="litellm",
        format="litellm",
        file="config.yaml",
        peer="yaml",
        before="model_list:\n  - model_name: images\n"
        "    litellm_params: { model: openai/gpt-image-2, timeout: 400 }\n"
        "    model_info: { mode: image_generation }\n",
        entry=LITELLM,
        host=_one_host,
    ),
)
LARGE: Final = {large.name: large for large in _ALL}

# gathersrv alone in an image: one static program, and the authorities that
# `tls://` servers without ca=FILE are checked against.
#
#   docker build --tag gathersrv:0.1.0 .
#
# builds for the machine it runs on. deploy/kubernetes runs it; docs/kubernetes.md
# tells how.

FROM rust:1.95-slim-bookworm AS build
# Debian keeps no old versions, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN mkdir /image && cp "$(scripts/static)" /image/gathersrv

FROM scratch
LABEL org.opencontainers.image.title="gathersrv" \
      org.opencontainers.image.description="A DNS daemon that asks every cluster and gives one merged answer" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /image/gathersrv /gathersrv
# A number of its own, and not that of "nobody": with host networking another
# process of the same user could join its ports. There is no /etc/passwd.
USER 10053:10053
# DNS, and what --admin serves. Both above 1023, so that no right is needed.
EXPOSE 5353/udp 5353/tcp 9153/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/gathersrv"]
CMD ["--config", "/etc/gathersrv/Corefile", "--admin", "0.0.0.0:9153"]

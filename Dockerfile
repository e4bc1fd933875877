# syntax=docker/dockerfile:1

# Both bases are named by tag; a release passes them with their digests
# (--build-arg GO_IMAGE=golang@sha256:…), which
# `docker buildx imagetools inspect NAME` prints.
ARG GO_IMAGE=golang:1.26-trixie
ARG BASE_IMAGE=gcr.io/distroless/static-debian13:nonroot

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
ENV CGO_ENABLED=0
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=unknown
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" \
      -o /out/starling ./cmd/starling \
 && mkdir -p /out/data

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Starling" \
      org.opencontainers.image.description="FHIR R4 server with pharmacogenomic CDS Hooks services" \
      org.opencontainers.image.source="https://github.com/starling-fhir/starling" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /out/starling /starling
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
ENV STARLING_STORE=/data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/starling", "ping"]
ENTRYPOINT ["/starling"]
CMD ["serve"]

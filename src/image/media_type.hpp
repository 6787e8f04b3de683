// The media types of image documents and layers: OCI image specification, "Media Types", and Docker's image
// manifest version 2, schema 2.
#pragma once

#include <string_view>

namespace strata::image {

enum class Kind { unknown, manifest, index, config, layer };

enum class Compression { none, gzip, zstd };

enum class Dialect { oci, docker };

namespace media_type {

inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json",
                                  oci_index = "application/vnd.oci.image.index.v1+json",
                                  oci_config = "application/vnd.oci.image.config.v1+json",
                                  oci_layer = "application/vnd.oci.image.layer.v1.tar",
                                  oci_layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip",
                                  oci_layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd",
                                  docker_manifest = "application/vnd.docker.distribution.manifest.v2+json",
                                  docker_index = "application/vnd.docker.distribution.manifest.list.v2+json",
                                  docker_config = "application/vnd.docker.container.image.v1+json",
                                  docker_layer_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";

} // namespace media_type

struct MediaType {
    std::string_view name;
    Kind kind = Kind::unknown;
    Compression compression = Compression::none;
    Dialect dialect = Dialect::oci;
    bool distributable = true; // false for layers that a registry does not hold
};

// What is known of a media type; kind unknown for any other.
[[nodiscard]] const MediaType& media_type_of(std::string_view name);

[[nodiscard]] std::string_view layer_media_type(Compression compression);

} // namespace strata::image

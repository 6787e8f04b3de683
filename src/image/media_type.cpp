#include "image/media_type.hpp"

#include <algorithm>
#include <iterator>

namespace strata::image {
namespace {

using namespace media_type;

constexpr MediaType table[] = {
    {oci_manifest, Kind::manifest},
    {oci_index, Kind::index},
    {oci_config, Kind::config},
    {oci_layer, Kind::layer},
    {oci_layer_gzip, Kind::layer, Compression::gzip},
    {oci_layer_zstd, Kind::layer, Compression::zstd},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", Kind::layer, Compression::none, Dialect::oci,
     false},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Kind::layer, Compression::gzip,
     Dialect::oci, false},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Kind::layer, Compression::zstd,
     Dialect::oci, false},
    {docker_manifest, Kind::manifest, Compression::none, Dialect::docker},
    {docker_index, Kind::index, Compression::none, Dialect::docker},
    {docker_config, Kind::config, Compression::none, Dialect::docker},
    {"application/vnd.docker.image.rootfs.diff.tar", Kind::layer, Compression::none, Dialect::docker},
    {docker_layer_gzip, Kind::layer, Compression::gzip, Dialect::docker},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", Kind::layer, Compression::zstd, Dialect::docker},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Kind::layer, Compression::gzip,
     Dialect::docker, false},
};

constexpr MediaType unknown{};

} // namespace

const MediaType& media_type_of(std::string_view name) {
    const auto* found = std::ranges::find(table, name, &MediaType::name);
    return found == std::end(table) ? unknown : *found;
}

std::string_view layer_media_type(Compression compression) {
    switch (compression) {
    case Compression::gzip: return oci_layer_gzip;
    case Compression::zstd: return oci_layer_zstd;
    case Compression::none: break;
    }
    return oci_layer;
}

} // namespace strata::image
